import { Alert, Button, HStack, Input, Stack, Text } from "@chakra-ui/react";
import { type FormEvent, useState } from "react";
import { useSearchParams } from "react-router-dom";
import type { CellAnswer, ComparisonAnswer, DifferenceAnswer, Metric, WholeRunAnswer } from "../api";
import { Curve } from "../charts/Curve";
import { useFormat } from "../format";
import { DataTable, DeploymentLink, Failure, InTurn, Nothing, Rehearsal, RevisionName, RunLink, Section, State, Verdict, Waiting } from "../parts";
import { type Load, loadKey, loads, useLoadName } from "../load";
import { verdictMark } from "../colors";
import { useDark } from "../surroundings";
import { type Asked, useAnswer, useAnswers } from "../useAnswer";
import { useWords } from "../words";

const MOST = 6;
const LARGEST_ID = 2 ** 31 - 1;

/** Two to six runs side by side; which ones, the address says. */
export function Compare() {
  const say = useWords();
  const [search, setSearch] = useSearchParams();
  const ids = numbers(search.get("runs") ?? "");
  const answers = useAnswers<WholeRunAnswer>(ids.map((id) => `runs/${id}`));
  const runs = answers.flatMap(({ data }) => (data ? [data] : []));
  const waiting = answers.some(({ data, refused }) => !data && !refused);
  const comparable = !waiting && runs.length >= 2;
  const comparison = useAnswer<ComparisonAnswer>(comparable ? `compare?${runs.map(({ run }) => `run=${run.id}`).join("&")}` : null);
  return (
    <>
      <Chosen key={ids.join()} onChoose={(runsChosen) => setSearch({ runs: runsChosen.join(",") })} said={ids.join(", ")} />
      {answers.map(({ refused }, place) => (refused ? <Failure key={ids[place]} refused={refused} /> : null))}
      {ids.length < 2 ? <Nothing next={say("compareNext")} title={say("compareHint")} /> : null}
      {waiting ? <Waiting /> : null}
      {comparable ? <SideBySide comparison={comparison} runs={runs} /> : null}
    </>
  );
}

const numbers = (text: string) => {
  const found = text.split(/[\s,]+/).map(Number).filter((id) => Number.isInteger(id) && id > 0 && id <= LARGEST_ID);
  return [...new Set(found)].slice(0, MOST);
};

function Chosen({ said, onChoose }: { said: string; onChoose: (ids: number[]) => void }) {
  const say = useWords();
  const [text, setText] = useState(said);
  const choose = (event: FormEvent) => {
    event.preventDefault();
    onChoose(numbers(text));
  };
  return (
    <Section help={`${say("compareHint")} ${say("compareNext")}`} title={say("compare")}>
      <form onSubmit={choose}>
        <HStack maxW="30rem">
          <Input aria-label={say("runNumbers")} onChange={(event) => setText(event.target.value)} placeholder="12, 15" size="sm" value={text} />
          <Button size="sm" type="submit" variant="outline">{say("show")}</Button>
        </HStack>
      </form>
    </Section>
  );
}

function SideBySide({ runs, comparison }: { runs: WholeRunAnswer[]; comparison: Asked<ComparisonAnswer> }) {
  const say = useWords();
  const lines = runs.flatMap(({ run, cells }) => {
    const points = cells.flatMap((cell) =>
      cell.ttft && cell.validity !== "invalid" ? [{ users: cell.users, rate: cell.rate, shape: cell.shape, x: cell.output_tokens_per_s, y: cell.ttft.p95 }] : [],
    );
    return points.length ? [{ name: say("runN", { id: run.id }), points }] : [];
  });
  return (
    <InTurn first={2}>
      <Heads runs={runs} />
      {lines.length ? <Section help={say("curveHelp")} title={say("curve")}><Curve latency={`${say("ttft")}, p95`} lines={lines} /></Section> : null}
      <Figures comparison={comparison} runs={runs} />
    </InTurn>
  );
}

function Heads({ runs }: { runs: WholeRunAnswer[] }) {
  const say = useWords();
  const { time } = useFormat();
  return (
    <Section title={say("runs")}>
      <DataTable
        columns={[
          { head: say("run"), cell: ({ run }) => <RunLink id={run.id} /> },
          { head: say("deployment"), cell: ({ run }) => <><DeploymentLink name={run.deployment} /> <Rehearsal so={run.rehearsal} /></> },
          { head: say("job"), cell: ({ run }) => run.job },
          { head: say("began"), cell: ({ run }) => time(run.started_at) },
          { head: say("state"), cell: ({ run }) => <State state={run.state} /> },
          { head: say("revision"), cell: ({ run }) => <RevisionName id={run.revision_id} /> },
          { head: say("verdict"), cell: ({ run }) => <><Verdict verdict={run.verdict} /> {run.verdict_reason}</> },
        ]}
        label={say("runs")} rowKey={({ run }) => run.id} rows={runs}
      />
    </Section>
  );
}

type Figure = { key: string; name: string; of: (cell: CellAnswer) => number | null; unit: (value: number) => string };

function Figures({ runs, comparison: { data, refused } }: { runs: WholeRunAnswer[]; comparison: Asked<ComparisonAnswer> }) {
  const say = useWords();
  const { number, seconds } = useFormat();
  const latency = (metric: Metric, figure: "p50" | "p99"): Figure => ({
    key: `${metric}_${figure}`, name: `${metric.toUpperCase()} ${figure}`, of: (cell) => cell[metric]?.[figure] ?? null, unit: seconds,
  });
  const figures: Figure[] = [
    { key: "output_tokens_per_s", name: say("tokenRate"), of: (cell) => cell.output_tokens_per_s, unit: number },
    { key: "requests_per_s", name: say("requestRate"), of: (cell) => cell.requests_per_s, unit: number },
    ...(["ttft", "itl", "tpot", "e2e"] as const).flatMap((metric) => [latency(metric, "p50"), latency(metric, "p99")]),
  ];
  const all = loads(runs.flatMap(({ cells }) => cells));
  if (refused) return <Failure refused={refused} />;
  if (!data) return <Waiting />;
  return (
    <Section help={say("against", { id: runs[0]?.run.id ?? "" })} title={say("figures")}>
      <Unlike compared={data} first={runs[0]?.run.id ?? 0} />
      <InTurn>{all.map((load) => <Level compared={data} figures={figures} key={loadKey(load)} load={load} runs={runs} />)}</InTurn>
      {all.length === 0 ? <Text color="fg.muted">{say("notMeasured")}</Text> : null}
    </Section>
  );
}

/** Runs that may not be held against the first, and why. */
function Unlike({ compared, first }: { compared: ComparisonAnswer; first: number }) {
  const say = useWords();
  const found = compared.runs.filter(({ unlike }) => unlike.length > 0);
  if (found.length === 0) return null;
  return (
    <Alert.Root mb={3} status="warning">
      <Alert.Indicator />
      <Stack gap={1}>
        {found.map(({ run_id, unlike }) => (
          <Text fontSize="sm" key={run_id}>{say("unlike", { id: run_id, first })} {unlike.join("; ")}</Text>
        ))}
      </Stack>
    </Alert.Root>
  );
}

function Level({ runs, load, figures, compared }: { runs: WholeRunAnswer[]; load: Load; figures: Figure[]; compared: ComparisonAnswer }) {
  const say = useWords();
  const cells = runs.map((whole) => whole.cells.find((cell) => loadKey(cell) === loadKey(load)));
  const found = new Map<string, DifferenceAnswer>(
    compared.runs.flatMap(({ run_id, differences }) =>
      differences.filter((each) => loadKey(each) === loadKey(load)).map((each) => [`${run_id} ${each.figure}`, each] as const),
    ),
  );
  const written = (figure: Figure, place: number) => {
    const cell = cells[place];
    const value = cell ? figure.of(cell) : null;
    if (value === null) return "–";
    const difference = found.get(`${runs[place]?.run.id} ${figure.key}`);
    return <>{figure.unit(value)}{difference ? <Change difference={difference} /> : null}</>;
  };
  const label = useLoadName()(load);
  return (
    <>
      <Text fontWeight="medium" mt={3}>{label}</Text>
      <DataTable
        columns={[
          { head: say("figure"), cell: ({ name }) => name },
          ...runs.map(({ run }, place) => ({
            head: say("runN", { id: run.id }), figure: true, cell: (figure: Figure) => written(figure, place),
          })),
        ]}
        label={label} rowKey={({ name }) => name}
        rows={figures.filter((figure) => cells.some((cell) => cell && figure.of(cell) !== null))}
      />
      <HStack fontSize="xs" gap={4} mt={1}>
        {cells.map((cell, place) => (cell ? <span key={cell.id}>{say("runN", { id: runs[place]?.run.id ?? "" })}: <State state={cell.validity} /></span> : null))}
      </HStack>
    </>
  );
}

/** How far from the first run, and whether that is more than noise. */
function Change({ difference: { percent, limit_percent, better } }: { difference: DifferenceAnswer }) {
  const say = useWords();
  const dark = useDark();
  const { percent: signed, number } = useFormat();
  const size = signed(percent / 100);
  if (limit_percent === null) return <Text color="fg.muted" fontSize="xs">{size}, {say("noiseUnknown")}</Text>;
  const limit = say("noiseLimit", { limit: number(limit_percent, 2) });
  if (Math.abs(percent) < limit_percent) return <Text color="fg.muted" fontSize="xs" title={limit}>{size}, {say("withinNoise")}</Text>;
  const { shape, color } = verdictMark(better ? "better" : "worse", dark);
  return (
    <Text fontSize="xs" fontWeight="semibold" title={limit}>
      <span aria-hidden style={{ color }}>{shape}</span> {size}, {say(better ? "better" : "worse")}: {say("timesNoise", { times: number(Math.abs(percent) / limit_percent, 2) })}
    </Text>
  );
}
