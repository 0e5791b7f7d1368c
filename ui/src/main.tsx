/** What Airflow mounts: it imports this file once, and takes each app from `globalThis` by its name. */
import { Box, Heading, HStack, Text } from "@chakra-ui/react";
import type { FC, ReactNode } from "react";
import { useParams } from "react-router-dom";
import type { RunAnswer } from "./api";
import { Compare } from "./pages/Compare";
import { Deployment } from "./pages/Deployment";
import { Overview } from "./pages/Overview";
import { Run } from "./pages/Run";
import { Failure, HOME, Nothing, To, Waiting } from "./parts";
import { useZone } from "./surroundings";
import { useAnswer } from "./useAnswer";
import { useWords } from "./words";

const OURS = /^(.+)\.(deploy|benchmark|teardown|preflight|sweep|watch)$/;

const Ground = ({ children }: { children: ReactNode }) => (
  <Box css={{ "& svg text": { fontSize: "12px" } }} data-slipway height="100%" overflow="auto" p={4}>{children}</Box>
);

/** In the navigation: the page below `plugin/slipway`. */
function Pages() {
  const [kind = "", name = ""] = (useParams()["*"] ?? "").split("/");
  const say = useWords();
  const zone = useZone();
  const title = kind === "deployments" ? name : kind === "runs" ? say("runN", { id: name }) : kind === "compare" ? say("compare") : "Slipway";
  return (
    <Ground>
      <HStack as="header" flexWrap="wrap" justify="space-between" mb={4}>
        <Heading as="h1" size="xl">{title}</Heading>
        <HStack aria-label="Slipway" as="nav" fontSize="sm" gap={4}>
          <To to={HOME}>{say("overview")}</To>
          <To to={`${HOME}/compare`}>{say("compare")}</To>
          <Text as="span" color="fg.muted">{say("timesIn", { zone })}</Text>
        </HStack>
      </HStack>
      <Page kind={kind} name={name} />
    </Ground>
  );
}

function Page({ kind, name }: { kind: string; name: string }) {
  if (kind === "deployments") return <Deployment key={name} name={name} />;
  if (kind === "runs") return <Run id={Number(name)} key={name} />;
  return kind === "compare" ? <Compare /> : <Overview />;
}

/** As a tab of a DAG. */
function DagTab({ dagId = "" }: { dagId?: string }) {
  const name = OURS.exec(dagId)?.[1];
  return <Ground>{name ? <Deployment name={name} /> : <NotOurs />}</Ground>;
}

/** As a tab of a DAG run. */
function DagRunTab({ dagId = "", runId = "" }: { dagId?: string; runId?: string }) {
  const ours = OURS.test(dagId);
  const query = new URLSearchParams({ dag_id: dagId, dag_run_id: runId });
  const { data, refused } = useAnswer<RunAnswer>(ours ? `dag-run?${query}` : null);
  if (!ours) return <Ground><NotOurs /></Ground>;
  return <Ground>{refused ? <Failure refused={refused} /> : data ? <Run id={data.id} /> : <Waiting />}</Ground>;
}

function NotOurs() {
  const say = useWords();
  return <Nothing next={say("notOursNext")} title={say("notOurs")} />;
}

/** By the names that `ui/plugin.py` registers. */
const APPS: Record<string, FC> = { Slipway: Pages, "Slipway results": DagTab, "Slipway run": DagRunTab };
Object.assign(globalThis, APPS, { AirflowPlugin: Pages });
