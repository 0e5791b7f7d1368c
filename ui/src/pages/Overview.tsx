import { Box, Card, HStack, Heading, Link as Anchor, SimpleGrid, Stack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link } from "react-router-dom";
import type { CardAnswer, OverviewAnswer } from "../api";
import { Sparkline } from "../charts/Sparkline";
import { useFormat } from "../format";
import { Failure, HOME, Nothing, Rehearsal, RevisionName, RunLink, State, To, Verdict, Waiting } from "../parts";
import { useAnswer } from "../useAnswer";
import { useWords } from "../words";

/** A card for every deployment. */
export function Overview() {
  const say = useWords();
  const { data, refused } = useAnswer<OverviewAnswer>("overview");
  if (refused) return <Failure refused={refused} />;
  if (!data) return <Waiting />;
  if (data.cards.length === 0) return <Nothing next={say("noDeploymentsNext")} title={say("noDeployments")} />;
  return (
    <SimpleGrid gap={4} minChildWidth="22rem">
      {data.cards.map((card) => <DeploymentCard card={card} key={card.deployment.name} />)}
    </SimpleGrid>
  );
}

function DeploymentCard({ card }: { card: CardAnswer }) {
  const { name, rehearsal, current } = card.deployment;
  return (
    <Card.Root as="article" aria-label={name} size="sm">
      <Card.Header>
        <HStack justify="space-between">
          <Heading as="h2" size="md">
            <Anchor asChild><Link to={`${HOME}/deployments/${name}`}>{name}</Link></Anchor>
          </Heading>
          <HStack>
            <Rehearsal so={rehearsal} />
            <State state={current?.state ?? "notDeployed"} />
          </HStack>
        </HStack>
      </Card.Header>
      <Card.Body gap={3}>
        <Facts card={card} />
        <Throughput card={card} />
      </Card.Body>
      <Card.Footer><DagLinks name={name} /></Card.Footer>
    </Card.Root>
  );
}

export const Fact = ({ name, children }: { name: string; children: ReactNode }) => (
  <HStack align="baseline" fontSize="sm" gap={2}>
    <Text as="span" color="fg.muted" flex="none" minW="7rem">{name}</Text>
    <Box minW={0} overflowWrap="anywhere">{children}</Box>
  </HStack>
);

function Facts({ card: { deployment, serving } }: { card: CardAnswer }) {
  const say = useWords();
  const { time } = useFormat();
  const { current, last_run, last_judged } = deployment;
  return (
    <Stack gap={1}>
      {serving ? <Fact name={say("model")}>{serving.model_name}</Fact> : null}
      {serving?.hosts.map((host, place) => (
        <Fact key={host.name} name={place === 0 ? say("hosts") : ""}>{say("hostLine", { ...host })}</Fact>
      ))}
      {current ? <Fact name={say("since")}>{time(current.since)}</Fact> : null}
      {current ? <Fact name={say("revision")}><RevisionName id={current.revision_id} /></Fact> : null}
      {serving && current ? (
        <Fact name={say("endpoint")}>
          {current.endpoint} · <Anchor color="fg.info" href={serving.docs} rel="noreferrer" target="_blank">{say("apiDocs")}</Anchor>
        </Fact>
      ) : null}
      {serving?.dashboard ? <Fact name="Ray"><Dashboard address={serving.dashboard} /></Fact> : null}
      <Fact name={say("lastRun")}><RunLink id={last_run.id} /> · {last_run.job} <State state={last_run.state} /> · {time(last_run.started_at)}</Fact>
      <Fact name={say("lastVerdict")}>
        <Verdict verdict={last_judged?.verdict ?? null} />
        {last_judged?.verdict_reason ? <Text as="span" color="fg.muted">: {last_judged.verdict_reason}</Text> : null}
      </Fact>
    </Stack>
  );
}

/** A link, but to what only the head itself reaches. */
function Dashboard({ address }: { address: string }) {
  const say = useWords();
  const onHead = ["127.0.0.1", "localhost", "[::1]"].includes(new URL(address).hostname);
  if (onHead) return <span title={say("rayDashboard")}>{address}</span>;
  return <Anchor color="fg.info" href={address} rel="noreferrer" target="_blank" title={say("rayDashboard")}>{address}</Anchor>;
}

function Throughput({ card: { deployment, peaks } }: { card: CardAnswer }) {
  const say = useWords();
  const { rate } = useFormat();
  const alike = peaks.filter((peak) => peak.rehearsal === deployment.rehearsal);
  const last = alike.at(-1);
  if (!last) return <Text color="fg.muted" fontSize="sm">{say("throughput")}: {say("notMeasured")}</Text>;
  const label = say("throughputOfRuns", { count: alike.length, last: rate(last.output_tokens_per_s, "tok/s") });
  return (
    <Box>
      <Sparkline label={label} values={alike.map((peak) => peak.output_tokens_per_s)} />
      <Text color="fg.muted" fontSize="xs">{label}</Text>
    </Box>
  );
}

/** The DAGs of a deployment, where Airflow starts them with the viewer's own rights. */
export function DagLinks({ name }: { name: string }) {
  const say = useWords();
  return (
    <HStack flexWrap="wrap" fontSize="sm" gap={3} title={say("startHint")}>
      <Text as="span" color="fg.muted">{say("inAirflow")}</Text>
      <To to={`/dags/${name}.benchmark`}>{say("benchmarkDag")}</To>
      <To to={`/dags/${name}.deploy`}>{say("deployDag")}</To>
      <To to={`/dags/${name}.teardown`}>{say("teardownDag")}</To>
    </HStack>
  );
}
