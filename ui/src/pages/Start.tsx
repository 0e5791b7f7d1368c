import { Alert, Button, CloseButton, Dialog, HStack, Input, Portal, Text } from "@chakra-ui/react";
import { type ReactNode, useId, useState } from "react";
import { type Action, type ActionsAnswer, Refused, type RevisionAnswer, start } from "../api";
import { Failure, RevisionName, To } from "../parts";
import { useAnswer } from "../useAnswer";
import { type Word, useWords } from "../words";

type Job = "benchmark" | "deploy";

interface Order {
  job: Job;
  /** What the button says. */
  label: string;
  /** What will happen, before it is asked for. */
  told: ReactNode;
  conf: Record<string, unknown>;
}

export const useActions = (name: string) => useAnswer<ActionsAnswer>(`deployments/${encodeURIComponent(name)}/actions`).data;

const REFUSED: Record<Exclude<Action, "ready">, Word> = { forbidden: "mayNotStart", paused: "dagPaused", absent: "noDag" };

/** A button that starts a DAG after a look at what it will do; without the right it says so instead. */
export function Start({ name, order, may }: { name: string; order: Order; may: Action | undefined }) {
  const say = useWords();
  const [open, setOpen] = useState(false);
  const why = useId();
  const dag = `${name}.${order.job}`;
  const refusal = may && may !== "ready" ? say(REFUSED[may], { dag }) : "";
  if (refusal) {
    return (
      <>
        <Button aria-describedby={why} disabled size="xs" title={refusal} variant="outline">{order.label}</Button>
        <Text as="span" hidden id={why}>{refusal}</Text>
      </>
    );
  }
  return (
    <>
      <Button disabled={!may} onClick={() => setOpen(true)} size="xs" variant="outline">{order.label}</Button>
      {open ? <Confirmation dag={dag} onClose={() => setOpen(false)} order={order} /> : null}
    </>
  );
}

function Confirmation({ dag, order, onClose }: { dag: string; order: Order; onClose: () => void }) {
  const say = useWords();
  const [reason, setReason] = useState("");
  const [asked, setAsked] = useState<{ waiting?: boolean; run?: string; refused?: Refused }>({});
  const go = () => {
    setAsked({ waiting: true });
    start(dag, { ...order.conf, ...(reason ? { reason } : {}) }).then(
      (run) => setAsked({ run }),
      (error: unknown) => setAsked({ refused: error instanceof Refused ? error : new Refused(0, String(error)) }),
    );
  };
  return (
    <Dialog.Root onOpenChange={({ open }) => (open ? null : onClose())} open>
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content>
            <Dialog.Header><Dialog.Title>{order.label.replace("…", "")}: {dag}</Dialog.Title></Dialog.Header>
            <Dialog.Body display="grid" gap={3}>
              {order.told}
              <Input aria-label={say("reason")} maxLength={500} onChange={(event) => setReason(event.target.value)} placeholder={say("reasonHint")} size="sm" value={reason} />
              {asked.refused ? <Refusal dag={dag} refused={asked.refused} /> : null}
              {asked.run ? (
                <Alert.Root status="success">
                  <Alert.Indicator />
                  <Alert.Title>{say("started")} <To to={`/dags/${dag}/runs/${encodeURIComponent(asked.run)}`}>{asked.run}</To></Alert.Title>
                </Alert.Root>
              ) : null}
            </Dialog.Body>
            <Dialog.Footer>
              <Button onClick={onClose} size="sm" variant="outline">{say(asked.run ? "close" : "cancel")}</Button>
              {asked.run ? null : <Button disabled={asked.waiting} onClick={go} size="sm">{say("startNow")}</Button>}
            </Dialog.Footer>
            <Dialog.CloseTrigger asChild><CloseButton aria-label={say("close")} size="sm" /></Dialog.CloseTrigger>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}

function Refusal({ refused, dag }: { refused: Refused; dag: string }) {
  const say = useWords();
  if (refused.status !== 403) return <Failure refused={refused} />;
  return <Alert.Root status="error"><Alert.Indicator /><Alert.Title>{say("mayNotStart", { dag })}</Alert.Title></Alert.Root>;
}

/** What a deployment's page starts: a benchmark of what runs, a deploy of the file. */
export function Actions({ name, current, may }: { name: string; current: string | null; may: ActionsAnswer | undefined }) {
  const say = useWords();
  const benchmark = current ? <Text>{say("benchmarkWill", { revision: current })}</Text> : <Text>{say("benchmarkNothing")}</Text>;
  return (
    <HStack flexWrap="wrap" gap={2}>
      <Start may={may?.benchmark} name={name} order={{ job: "benchmark", label: say("startBenchmark"), told: benchmark, conf: {} }} />
      <Start may={may?.deploy} name={name} order={{ job: "deploy", label: say("redeploy"), told: <Text>{say("deployWill")}</Text>, conf: {} }} />
    </HStack>
  );
}

/** Deploys an earlier revision again. */
export function Rollback({ name, revision, may }: { name: string; revision: RevisionAnswer; may: Action | undefined }) {
  const say = useWords();
  const told = <Text>{say("rollbackWill")} <RevisionName id={revision.id} /></Text>;
  return <Start may={may} name={name} order={{ job: "deploy", label: say("rollback"), told, conf: { revision: revision.id } }} />;
}
