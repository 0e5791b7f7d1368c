import { Alert, Box, Button, Code, HStack, SimpleGrid, Stack, Text } from "@chakra-ui/react";
import type { CellAnswer, FileAnswer, FilesAnswer, Metric, RestartAnswer, RunAnswer, SmokeAnswer, StageAnswer, WholeRunAnswer } from "../api";
import { Histogram } from "../charts/Histogram";
import { Spread } from "../charts/Spread";
import { csv, save } from "../download";
import { useFormat } from "../format";
import { DataTable, DeploymentLink, Failure, Json, Passed, Rehearsal, RevisionName, Section, State, To, Unfold, Verdict, Waiting } from "../parts";
import { useLoadName } from "../load";
import { useAnswer } from "../useAnswer";
import { useWords } from "../words";
import { Commands, nameOf } from "./Commands";
import { CellFiles, Files, filesPath } from "./Files";
import { Fact } from "./Overview";
import { Series } from "./Series";

const METRICS: Metric[] = ["ttft", "itl", "tpot", "e2e"];

/** One run, whole. */
export function Run({ id }: { id: number }) {
  const { data, refused } = useAnswer<WholeRunAnswer>(`runs/${id}`);
  const files = useAnswer<FilesAnswer>(filesPath(id));
  if (refused) return <Failure refused={refused} />;
  if (!data) return <Waiting />;
  const { run, stages, smoke, cells, restarts, conf, snapshot } = data;
  return (
    <>
      <Head whole={data} />
      <Diagnosis found={snapshot["diagnosis"]} />
      <Cells cells={cells} files={files.data?.files ?? []} run={run} />
      <Series cells={cells} />
      <Distributions cells={cells} />
      <Stages stages={stages} />
      <Restarts restarts={restarts} />
      <Preflight stages={stages} />
      <Network found={snapshot["network"]} />
      <Smoke checks={smoke} />
      <Commands stages={stages} />
      <Files asked={files} run={id} />
      <Free title="conf" value={conf} />
      <Free help title="snapshot" value={snapshot} />
    </>
  );
}

function Head({ whole }: { whole: WholeRunAnswer }) {
  const { run } = whole;
  const say = useWords();
  const { time } = useFormat();
  const name = `${run.deployment}-run-${run.id}`;
  return (
    <Section
      aside={
        <HStack>
          <Text color="fg.muted" fontSize="sm">{say("download")}</Text>
          <Button onClick={() => save(`${name}.csv`, csv(whole), "text/csv")} size="xs" variant="outline">CSV</Button>
          <Button onClick={() => save(`${name}.json`, JSON.stringify(whole, null, 2), "application/json")} size="xs" variant="outline">JSON</Button>
        </HStack>
      }
      title={say("runN", { id: run.id })}
    >
      <SimpleGrid gap={1} minChildWidth="24rem">
        <Fact name={say("deployment")}><DeploymentLink name={run.deployment} /> <Rehearsal so={run.rehearsal} /></Fact>
        <Fact name={say("job")}>{run.job} · <To to={`/dags/${run.dag_id}/runs/${encodeURIComponent(run.dag_run_id)}`}>{run.dag_run_id}</To></Fact>
        <Fact name={say("state")}><State state={run.state} /></Fact>
        <Fact name={say("revision")}><RevisionName id={run.revision_id} /></Fact>
        <Fact name={say("began")}>{time(run.started_at)}</Fact>
        <Fact name={say("took")}><Took run={run} /></Fact>
        <Fact name={say("verdict")}><Verdict verdict={run.verdict} /> {run.verdict_reason}</Fact>
        {run.reason ? <Fact name={say("reason")}>{run.reason}</Fact> : null}
      </SimpleGrid>
    </Section>
  );
}

function Took({ run }: { run: RunAnswer }) {
  const { seconds } = useFormat();
  if (!run.ended_at) return <>–</>;
  return <>{seconds((new Date(run.ended_at).getTime() - new Date(run.started_at).getTime()) / 1000)}</>;
}

function Cells({ cells, run, files }: { cells: CellAnswer[]; run: RunAnswer; files: FileAnswer[] }) {
  const say = useWords();
  const loadName = useLoadName();
  const { number, seconds, share } = useFormat();
  const limited = cells.some((cell) => cell.goodput);
  const median = (metric: Metric, figure: "p50" | "p99") => ({
    head: `${metric.toUpperCase()} ${figure}`,
    figure: true,
    cell: (cell: CellAnswer) => (cell[metric] ? seconds(cell[metric][figure]) : "–"),
  });
  const goodput = ({ goodput: kept }: CellAnswer) => (kept ? `${number(kept.requests_per_s)} (${share(kept.share)})` : "–");
  return (
    <Section aside={<Rehearsal so={run.rehearsal} />} title={say("cells")}>
      <DataTable
        columns={[
          { head: say("load"), cell: loadName, figure: true },
          { head: say("validity"), cell: ({ validity }) => <State state={validity} /> },
          { head: say("requests"), cell: ({ requests }) => number(requests), figure: true },
          { head: say("errors"), cell: ({ errors }) => <Errors errors={errors} />, figure: true },
          { head: say("requestRate"), cell: (cell) => number(cell.requests_per_s), figure: true },
          { head: say("tokenRate"), cell: (cell) => number(cell.output_tokens_per_s), figure: true },
          ...(limited ? [{ head: say("goodput"), cell: goodput, figure: true }] : []),
          median("ttft", "p50"), median("ttft", "p99"), median("itl", "p50"), median("tpot", "p50"), median("e2e", "p50"), median("e2e", "p99"),
          { head: say("window"), cell: ({ window_s }) => seconds(window_s), figure: true },
          ...(files.length ? [{ head: say("download"), cell: (cell: CellAnswer) => <CellFiles cell={cell} files={files} run={run.id} /> }] : []),
        ]}
        label={say("cells")} rowKey={({ id }) => id} rows={cells}
      />
      <Reasons cells={cells} />
      <Counters cells={cells} />
    </Section>
  );
}

const Errors = ({ errors }: { errors: Record<string, number> }) => {
  const { number } = useFormat();
  const kinds = Object.entries(errors).map(([kind, count]) => `${kind}: ${count}`).join(", ");
  return <span title={kinds}>{number(Object.values(errors).reduce((sum, count) => sum + count, 0))}</span>;
};

function Reasons({ cells }: { cells: CellAnswer[] }) {
  const loadName = useLoadName();
  const doubted = cells.filter((cell) => cell.reasons.length > 0);
  if (doubted.length === 0) return null;
  return (
    <Alert.Root mt={3} status={doubted.some((cell) => cell.validity === "invalid") ? "error" : "warning"}>
      <Alert.Indicator />
      <Stack gap={1}>
        {doubted.map((cell) => (
          <Text fontSize="sm" key={cell.id}>
            <b>{loadName(cell)}</b> <State state={cell.validity} /> {cell.reasons.join("; ")}
          </Text>
        ))}
      </Stack>
    </Alert.Root>
  );
}

function Counters({ cells }: { cells: CellAnswer[] }) {
  const say = useWords();
  const { number } = useFormat();
  const loadName = useLoadName();
  const table = (label: "serverCounters" | "clientHealth" | "gpuFigures", of: (cell: CellAnswer) => Record<string, number>) => {
    const names = [...new Set(cells.flatMap((cell) => Object.keys(of(cell))))].sort();
    if (names.length === 0) return null;
    const columns = cells.map((cell) => ({
      head: loadName(cell),
      figure: true,
      cell: (name: string) => (name in of(cell) ? number(of(cell)[name] ?? 0) : "–"),
    }));
    return (
      <Unfold label={say(label)}>
        <DataTable columns={[{ head: say("figure"), cell: (name) => name }, ...columns]} label={say(label)} rowKey={(name) => name} rows={names} />
      </Unfold>
    );
  };
  return <>{table("serverCounters", (cell) => cell.server)}{table("gpuFigures", (cell) => cell.gpu)}{table("clientHealth", (cell) => cell.client)}</>;
}

function Distributions({ cells }: { cells: CellAnswer[] }) {
  const say = useWords();
  const { number, seconds } = useFormat();
  const loadName = useLoadName();
  const rows = cells.flatMap((cell) => METRICS.flatMap((metric) => (cell[metric] ? [{ cell, metric, found: cell[metric] }] : [])));
  if (rows.length === 0) return null;
  const figure = (name: "mean" | "minimum" | "p50" | "p90" | "p95" | "p99" | "maximum", head: string) => ({
    head, figure: true, cell: ({ found }: (typeof rows)[number]) => seconds(found[name]),
  });
  return (
    <Section help={say("distributionsHelp")} title={say("distributions")}>
      {METRICS.map((metric) => <Spread cells={cells} key={metric} metric={metric} />)}
      <SimpleGrid gap={4} minChildWidth="28rem">
        {METRICS.map((metric) => <Histogram cells={cells} key={metric} metric={metric} />)}
      </SimpleGrid>
      <Unfold label={say("asTable")}>
        <DataTable
          columns={[
            { head: say("figure"), cell: ({ metric }) => metric.toUpperCase() },
            { head: say("load"), cell: ({ cell }) => loadName(cell), figure: true },
            { head: "n", cell: ({ found }) => number(found.count), figure: true },
            figure("mean", say("mean")), figure("minimum", say("minimum")), figure("p50", "p50"), figure("p90", "p90"),
            figure("p95", "p95"), figure("p99", "p99"), figure("maximum", say("maximum")),
          ]}
          label={say("distributions")} rowKey={({ cell, metric }) => `${cell.id} ${metric}`} rows={rows}
        />
      </Unfold>
    </Section>
  );
}

function Stages({ stages }: { stages: StageAnswer[] }) {
  const say = useWords();
  const { time, seconds } = useFormat();
  return (
    <Section title={say("stages")}>
      <DataTable
        columns={[
          { head: say("stage"), cell: nameOf },
          { head: say("state"), cell: ({ state }) => <State state={state} /> },
          { head: say("tryN"), cell: ({ try_number }) => try_number, figure: true },
          { head: say("began"), cell: ({ started_at }) => time(started_at) },
          { head: say("took"), cell: (stage) => (stage.seconds === null ? "–" : seconds(stage.seconds)), figure: true },
          { head: say("actions"), cell: ({ actions }) => (actions ? actions : say("actionsNone")), figure: true },
          { head: say("detail"), cell: (stage) => <Detail stage={stage} /> },
        ]}
        label={say("stages")} rowKey={(stage) => `${stage.name} ${stage.map_index} ${stage.try_number}`} rows={stages}
      />
    </Section>
  );
}

function Detail({ stage }: { stage: StageAnswer }) {
  const say = useWords();
  const { commands: _shownBelow, ...detail } = stage.detail;
  const some = Object.keys(detail).length > 0;
  return (
    <>
      {stage.error ? <Box as="pre" color="fg.error" fontSize="xs" maxH="12rem" overflow="auto" tabIndex={0} whiteSpace="pre-wrap">{stage.error}</Box> : null}
      {some ? <Unfold label={say("detail")}><Json value={detail} /></Unfold> : null}
    </>
  );
}

/** Servers that ended unasked and were started again; nothing where none was. */
function Restarts({ restarts }: { restarts: RestartAnswer[] }) {
  const say = useWords();
  const { time } = useFormat();
  if (restarts.length === 0) return null;
  return (
    <Section help={say("restartsHelp")} title={say("restarts")}>
      <DataTable
        columns={[
          { head: say("restartedAt"), cell: ({ at }) => time(at) },
          { head: say("host"), cell: ({ host }) => host },
          { head: say("role"), cell: ({ role }) => role },
          { head: say("cause"), cell: ({ cause }) => <Code>{cause}</Code> },
          { head: say("found"), cell: ({ reason }) => reason },
        ]}
        label={say("restarts")} rowKey={({ host, role, at }) => `${host} ${role} ${at}`} rows={restarts}
      />
    </Section>
  );
}

interface Check {
  host: string;
  name: string;
  state: string;
  found: string;
  next_step?: string;
}

function Preflight({ stages }: { stages: StageAnswer[] }) {
  const say = useWords();
  const checks = stages.filter(({ name }) => name === "preflight").at(-1)?.detail["checks"];
  if (!Array.isArray(checks) || checks.length === 0) return null;
  return (
    <Section title={say("preflight")}>
      <DataTable
        columns={[
          { head: say("host"), cell: ({ host }) => host },
          { head: say("check"), cell: ({ name }) => name },
          { head: say("result"), cell: ({ state }) => <State state={state} /> },
          { head: say("found"), cell: ({ found }) => found },
          { head: say("nextStep"), cell: ({ next_step }) => next_step ?? "" },
        ]}
        label={say("preflight")} rowKey={({ host, name }) => `${host} ${name}`} rows={checks as Check[]}
      />
    </Section>
  );
}

const BYTES = /bytes$|^(alg|bus)bw$/;

function Network({ found }: { found: unknown }) {
  const say = useWords();
  const { bytes, seconds, number } = useFormat();
  if (!found || typeof found !== "object" || Object.keys(found).length === 0) return null;
  const written = (key: string, value: unknown) => {
    if (typeof value !== "number") return Array.isArray(value) ? value.join(", ") : String(value);
    if (BYTES.test(key)) return key.endsWith("bw") ? `${bytes(value)}/s` : bytes(value);
    return key.endsWith("_s") ? seconds(value) : number(value);
  };
  return (
    <Section title={say("network")}>
      <SimpleGrid gap={1} minChildWidth="16rem">
        {Object.entries(found).map(([key, value]) => <Fact key={key} name={key}>{written(key, value)}</Fact>)}
      </SimpleGrid>
    </Section>
  );
}

function Smoke({ checks }: { checks: SmokeAnswer[] }) {
  const say = useWords();
  const { seconds } = useFormat();
  if (checks.length === 0) return null;
  return (
    <Section title={say("smoke")}>
      <DataTable
        columns={[
          { head: say("check"), cell: ({ name }) => name },
          { head: say("result"), cell: ({ passed }) => <Passed so={passed} /> },
          { head: say("took"), cell: (check) => seconds(check.seconds), figure: true },
          { head: say("found"), cell: ({ detail }) => detail },
          { head: say("transcript"), cell: ({ transcript }) => <Unfold label={say("transcript")}><Json value={transcript} /></Unfold> },
        ]}
        label={say("smoke")} rowKey={({ name }) => name} rows={checks}
      />
    </Section>
  );
}

/** Why it failed, as `slipway diagnose` says it; nothing where nothing was found. */
function Diagnosis({ found }: { found: unknown }) {
  const say = useWords();
  if (!found || typeof found !== "object" || !("cause" in found) || !found.cause) return null;
  const told = found as Record<string, unknown>;
  const text = (name: string) => (typeof told[name] === "string" ? told[name] : "");
  const where = [text("host"), text("role"), text("log")].filter(Boolean).join(", ");
  return (
    <Section title={say("diagnosis")}>
      <Alert.Root mb={2} status="error">
        <Alert.Indicator />
        <Alert.Content>
          <Alert.Title>{text("cause")}</Alert.Title>
          <Alert.Description>{text("advice")}</Alert.Description>
        </Alert.Content>
      </Alert.Root>
      {text("key") ? <Fact name={say("key")}><Code>{text("key")}</Code></Fact> : null}
      {where ? <Fact name={say("found")}>{where}</Fact> : null}
      {text("evidence") ? <Fact name={say("evidence")}>{say("evidenceIn", { folder: text("evidence") })}</Fact> : null}
      {text("line") ? <Box as="pre" bg="bg.subtle" fontSize="xs" mt={2} overflow="auto" p={2} tabIndex={0} whiteSpace="pre-wrap">{text("line")}</Box> : null}
    </Section>
  );
}

function Free({ title, value, help = false }: { title: "conf" | "snapshot"; value: unknown; help?: boolean }) {
  const say = useWords();
  if (!value || (typeof value === "object" && Object.keys(value).length === 0)) return null;
  return (
    <Section help={help ? say("snapshotHelp") : undefined} title={say(title)}>
      <Unfold label={say("show")}><Json value={value} /></Unfold>
    </Section>
  );
}
