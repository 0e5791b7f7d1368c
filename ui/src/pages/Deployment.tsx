import { Box, Button, Checkbox, Code, HStack, SimpleGrid, Text } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { useNavigate } from "react-router-dom";
import { type Action, type ActionsAnswer, type Latency, type Metric, type OverviewAnswer, type Percentile, type PointsAnswer, type RevisionAnswer, type RevisionsAnswer, rows, type StepAnswer, type TrendsAnswer } from "../api";
import { Curve } from "../charts/Curve";
import { Stack } from "../charts/Stack";
import { Trend } from "../charts/Trend";
import { useFormat } from "../format";
import { type Drawn, type History, curvePoints, readyBars, trendData } from "../history";
import { Choice, DataTable, Failure, HOME, InTurn, Nothing, Rehearsal, RevisionName, RunLink, Section, State, Unfold, Verdict, Waiting } from "../parts";
import { useLoadName } from "../load";
import { type Asked, useAnswer, useAnswers } from "../useAnswer";
import { useWords } from "../words";
import { DagLinks } from "./Overview";
import { Actions, Rollback, useActions } from "./Start";

const METRICS: Metric[] = ["ttft", "itl", "tpot", "e2e"];
const PERCENTILES: Percentile[] = ["p50", "p95", "p99"];
const NONE: RevisionAnswer[] = [];
const FEW = 20;

/** One deployment: its curve, its trends, its revisions and runs. */
export function Deployment({ name }: { name: string }) {
  const say = useWords();
  const path = `deployments/${encodeURIComponent(name)}`;
  const trends = useAnswer<TrendsAnswer>(`${path}/trends`);
  const revisions = useAnswer<RevisionsAnswer>(`${path}/revisions`);
  const may = useActions(name);
  const history = useMemo(() => trends.data && { ...trends.data, points: rows(trends.data.points) }, [trends.data]);
  const newest = history?.points.at(-1)?.revision_id ?? null;
  const current = revisions.data ? (revisions.data.current ?? newest) : null;
  const baseline = revisions.data?.baseline ?? null;
  const curves = useCurves(path, current, baseline, revisions.data?.revisions ?? NONE);
  const refused = trends.refused ?? revisions.refused;
  if (refused) return <Failure refused={refused} />;
  if (!history || !revisions.data) return <Waiting />;
  const { steps, points } = history;
  return (
    <InTurn first={2}>
      <Head current={revisions.data.current} may={may} name={name} rehearsed={steps.some((step) => step.rehearsal)} />
      {points.length === 0 ? (
        <Section title={say("throughput")}><Nothing next={say("noFiguresNext", { name })} title={say("noFigures")} /></Section>
      ) : (
        <Curves baseline={baseline} curves={curves} current={current} />
      )}
      {points.length ? <Trends trends={history} /> : null}
      <Ready steps={steps} />
      <Revisions baseline={baseline} current={current} may={may?.deploy} name={name} revisions={revisions.data.revisions} />
      <Runs steps={steps} />
    </InTurn>
  );
}

/** What runs, and what may be started. It asks itself what runs: that answer comes late, and draws no chart anew. */
function Head({ name, current, may, rehearsed }: {
  name: string; current: string | null; may: ActionsAnswer | undefined; rehearsed: boolean;
}) {
  const overview = useAnswer<OverviewAnswer>("overview");
  const card = overview.data?.cards.find((each) => each.deployment.name === name);
  return (
    <HStack flexWrap="wrap" justify="space-between" mb={3}>
      <HStack><Rehearsal so={rehearsed} />{card ? <State state={card.deployment.current?.state ?? "notDeployed"} /> : null}</HStack>
      <HStack flexWrap="wrap" gap={4}><Actions current={current} may={may} name={name} /><DagLinks name={name} /></HStack>
    </HStack>
  );
}

interface Chosen {
  /** Every revision there is. */
  ids: string[];
  /** Those whose curves are drawn, and their cells as they come in. */
  shown: string[];
  answers: Asked<PointsAnswer>[];
  toggle: (id: string) => void;
}

/** The revisions that are drawn: the current one beside its baseline, until others are chosen. */
function useCurves(path: string, current: string | null, baseline: string | null, revisions: RevisionAnswer[]): Chosen {
  const [others, setOthers] = useState<string[] | null>(null);
  const ids = revisions.map((revision) => revision.id);
  const first = current === null ? [] : [current, baseline ?? ids.find((id) => id !== current)];
  const shown = others ?? first.filter((id) => id !== undefined);
  const answers = useAnswers<PointsAnswer>(shown.map((id) => `${path}/revisions/${id}/points`));
  const toggle = (id: string) => setOthers(shown.includes(id) ? shown.filter((each) => each !== id) : [...shown, id].slice(-6));
  return { ids, shown, answers, toggle };
}

function Curves({ current, baseline, curves: { ids, shown, answers, toggle } }: {
  current: string | null; baseline: string | null; curves: Chosen;
}) {
  const say = useWords();
  const [metric, setMetric] = useState<Metric>("ttft");
  const [percentile, setPercentile] = useState<Percentile>("p95");
  const called = (id: string) => (id === current ? `${id} (${say("current")})` : id === baseline ? `${id} (${say("baseline")})` : id);
  const latency: Latency = `${metric}_${percentile}`;
  const lines = shown.flatMap((id, place) => {
    const found = answers[place]?.data;
    const points = found ? curvePoints(rows(found.points), latency) : [];
    return points.length ? [{ name: called(id), points }] : [];
  });
  return (
    <Section
      aside={<LatencyChoice metric={metric} onMetric={setMetric} onPercentile={setPercentile} percentile={percentile} />}
      help={say("curveHelp")} title={say("curve")}
    >
      {answers.map(({ refused }, place) => (refused ? <Failure key={shown[place]} refused={refused} /> : null))}
      <Curve latency={`${say(metric)}, ${percentile}`} lines={lines} />
      <Unfold label={say("besideRevisions")}>
        <HStack flexWrap="wrap" gap={4}>
          {ids.map((id) => <Tick checked={shown.includes(id)} key={id} label={called(id)} onToggle={() => toggle(id)} />)}
        </HStack>
      </Unfold>
    </Section>
  );
}

const Tick = ({ checked, label, hidden, onToggle }: { checked: boolean; label: string; hidden?: boolean; onToggle: () => void }) => (
  <Checkbox.Root checked={checked} onCheckedChange={onToggle} size="sm">
    <Checkbox.HiddenInput {...(hidden ? { "aria-label": label } : {})} />
    <Checkbox.Control />
    {hidden ? null : <Checkbox.Label fontFamily="mono">{label}</Checkbox.Label>}
  </Checkbox.Root>
);

function LatencyChoice({ metric, percentile, onMetric, onPercentile }: {
  metric?: Metric; percentile: Percentile; onMetric?: (metric: Metric) => void; onPercentile: (percentile: Percentile) => void;
}) {
  const say = useWords();
  return (
    <HStack flexWrap="wrap" gap={4}>
      {metric && onMetric ? (
        <Choice label={say("latency")} onChoose={onMetric} options={METRICS.map((value) => ({ value, label: say(value) }))} value={metric} />
      ) : null}
      <Choice label={say("percentile")} onChoose={onPercentile} options={PERCENTILES.map((value) => ({ value, label: value }))} value={percentile} />
    </HStack>
  );
}

function Trends({ trends }: { trends: History }) {
  const say = useWords();
  const [percentile, setPercentile] = useState<Percentile>("p50");
  const shown: Drawn[] = ["output_tokens_per_s", ...METRICS.map((metric): Latency => `${metric}_${percentile}`)];
  const measured = shown.filter((drawn) => trends.points.some((point) => point[drawn] !== null));
  return (
    <Section aside={<LatencyChoice onPercentile={setPercentile} percentile={percentile} />} help={say("trendsHelp")} title={say("trends")}>
      <SimpleGrid gap={4} minChildWidth="28rem">
        <InTurn>{measured.map((drawn) => <TrendOf drawn={drawn} key={drawn} trends={trends} />)}</InTurn>
      </SimpleGrid>
    </Section>
  );
}

function TrendOf({ trends, drawn }: { trends: History; drawn: Drawn }) {
  const say = useWords();
  const { number, seconds } = useFormat();
  const loadName = useLoadName();
  const data = useMemo(() => trendData(trends, drawn, loadName), [trends, drawn, loadName]);
  if (drawn === "output_tokens_per_s") return <Trend data={data} title={`${say("throughput")} (${say("tokenRate")})`} unit={number} />;
  const [metric, percentile] = drawn.split("_") as [Metric, Percentile];
  return <Trend data={data} title={`${say(metric)}, ${percentile}`} unit={seconds} />;
}

function Ready({ steps }: { steps: StepAnswer[] }) {
  const say = useWords();
  const { time } = useFormat();
  const bars = readyBars(steps, (step) => `${say("runN", { id: step.id })}, ${time(step.started_at)}`, say("timeToReady"));
  return (
    <Section help={say("timeToReadyHelp")} title={say("timeToReady")}>
      {bars.length ? <Stack bars={bars.slice(-60)} label={say("timeToReady")} /> : <Text color="fg.muted">{say("noReady")}</Text>}
    </Section>
  );
}

const written = (value: unknown) => (value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value));

function Revisions({ name, revisions, current, baseline, may }: {
  name: string; revisions: RevisionAnswer[]; current: string | null; baseline: string | null; may: Action | undefined;
}) {
  const say = useWords();
  const { time } = useFormat();
  return (
    <Section title={say("revisions")}>
      <DataTable
        columns={[
          { head: say("revision"), cell: ({ id }) => <><RevisionName id={id} />{id === current ? ` ${say("current")}` : id === baseline ? ` ${say("baseline")}` : ""}</> },
          { head: say("created"), cell: ({ created_at, rehearsal }) => <>{time(created_at)} <Rehearsal so={rehearsal} /></> },
          { head: say("changes"), cell: ({ changes }) => <Changes changes={changes} /> },
          { head: say("start"), cell: (each) => (each.id === current ? null : <Rollback may={may} name={name} revision={each} />) },
        ]}
        few={FEW} label={say("revisions")} rowKey={({ id }) => id} rows={revisions}
      />
    </Section>
  );
}

function Changes({ changes }: { changes: RevisionAnswer["changes"] }) {
  const say = useWords();
  if (changes === null) return <Text color="fg.muted">{say("firstRevision")}</Text>;
  return (
    <Box>
      {changes.map(({ key, before, after }) => (
        <Text fontSize="sm" key={key} overflowWrap="anywhere">
          <Code>{key}</Code>: {written(before)} → <b>{written(after)}</b>
        </Text>
      ))}
    </Box>
  );
}

function Runs({ steps }: { steps: StepAnswer[] }) {
  const say = useWords();
  const { time } = useFormat();
  const navigate = useNavigate();
  const [chosen, setChosen] = useState<number[]>([]);
  const toggle = (id: number) => setChosen(chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id].slice(-6));
  const fit = chosen.length >= 2;
  return (
    <Section
      aside={
        <Button disabled={!fit} onClick={() => void navigate(`${HOME}/compare?runs=${[...chosen].sort((a, b) => a - b).join(",")}`)} size="sm">
          {fit ? say("compareChosen", { count: chosen.length }) : say("compareHint")}
        </Button>
      }
      title={say("runs")}
    >
      <DataTable
        columns={[
          { head: say("chosen"), cell: ({ id }) => <Tick checked={chosen.includes(id)} hidden label={say("chooseRun", { id })} onToggle={() => toggle(id)} /> },
          { head: say("run"), cell: ({ id }) => <RunLink id={id} /> },
          { head: say("job"), cell: ({ job, rehearsal }) => <>{job} <Rehearsal so={rehearsal} /></> },
          { head: say("began"), cell: ({ started_at }) => time(started_at) },
          { head: say("state"), cell: ({ state }) => <State state={state} /> },
          { head: say("revision"), cell: ({ revision_id }) => <RevisionName id={revision_id} /> },
          { head: say("verdict"), cell: ({ verdict, verdict_reason }) => <><Verdict verdict={verdict} /> {verdict_reason}</> },
        ]}
        few={FEW} label={say("runs")} rowKey={({ id }) => id} rows={[...steps].reverse()}
      />
    </Section>
  );
}
