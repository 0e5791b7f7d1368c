/** What every page is made of. */
import { Alert, Badge, Box, Button, Code, EmptyState, Heading, HStack, Link as Anchor, NativeSelect, Spinner, Table, Text } from "@chakra-ui/react";
import { Children, type ReactNode, useEffect, useId, useState } from "react";
import { Link } from "react-router-dom";
import type { Refused, Validity } from "./api";
import { useDark } from "./surroundings";
import { type Say, saidOr, useWords } from "./words";
import { verdictMark } from "./colors";

/** Where the page's own pages are, below Airflow's root. */
export const HOME = "/plugin/slipway";

export const To = ({ to, children }: { to: string; children: ReactNode }) => (
  <Anchor asChild color="fg.info">
    <Link to={to}>{children}</Link>
  </Anchor>
);

export const RunLink = ({ id }: { id: number }) => <To to={`${HOME}/runs/${id}`}>{useWords()("runN", { id })}</To>;
export const DeploymentLink = ({ name }: { name: string }) => <To to={`${HOME}/deployments/${name}`}>{name}</To>;
export const RevisionName = ({ id }: { id: string | null }) => <Code variant="surface">{id ?? "–"}</Code>;

export function Rehearsal({ so }: { so: boolean }) {
  const say = useWords();
  return so ? (
    <Badge colorPalette="orange" title={say("rehearsalMeans")} variant="solid">
      {say("rehearsal")}
    </Badge>
  ) : null;
}

export function Verdict({ verdict }: { verdict: string | null }) {
  const dark = useDark();
  const say = useWords();
  if (!verdict) return <Text as="span" color="fg.muted">{say("noVerdict")}</Text>;
  const { shape, color } = verdictMark(verdict, dark);
  return (
    <Text as="span" fontWeight="medium">
      <span aria-hidden style={{ color }}>{shape}</span> {saidOr(say, verdict)}
    </Text>
  );
}

const PALETTE: Record<string, string> = {
  success: "green", valid: "green", serving: "green", failed: "red", invalid: "red", suspect: "orange", running: "blue", starting: "blue",
  ok: "green", warn: "orange", FAIL: "red",
};

/** A state of Airflow's or of a cell, in words and in colour. */
export const State = ({ state }: { state: string | Validity }) => (
  <Badge colorPalette={PALETTE[state] ?? "gray"} variant="subtle">{saidOr(useWords(), state)}</Badge>
);

export const Passed = ({ so }: { so: boolean }) => {
  const say = useWords();
  return <Badge colorPalette={so ? "green" : "red"}>{so ? `✓ ${say("passed")}` : `✗ ${say("failed")}`}</Badge>;
};

export function Section({ title, help, children, aside }: { title: string; help?: string; children: ReactNode; aside?: ReactNode }) {
  const id = useId();
  return (
    <Box aria-labelledby={id} as="section" bg="bg.panel" borderRadius="lg" borderWidth={1} mb={4} p={4}>
      <HStack flexWrap="wrap" justify="space-between" mb={2}>
        <Heading as="h2" id={id} size="md">{title}</Heading>
        {aside}
      </HStack>
      {help === undefined ? null : <Text color="fg.muted" fontSize="sm" mb={3}>{help}</Text>}
      {children}
    </Box>
  );
}

export const Waiting = () => (
  <HStack aria-live="polite" p={4} role="status">
    <Spinner size="sm" />
    <Text>{useWords()("loading")}…</Text>
  </HStack>
);

export const Nothing = ({ title, next }: { title: string; next: string }) => (
  <EmptyState.Root>
    <EmptyState.Content>
      <EmptyState.Title>{title}</EmptyState.Title>
      <EmptyState.Description maxW="lg" textAlign="center">{next}</EmptyState.Description>
    </EmptyState.Content>
  </EmptyState.Root>
);

export function Failure({ refused }: { refused: Refused }) {
  const say = useWords();
  return (
    <Alert.Root mb={4} status="error">
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{say("failedToLoad")}{refused.status ? ` (${refused.status})` : ""}: {refused.message}</Alert.Title>
        <Alert.Description>{nextStep(say, refused.status)}</Alert.Description>
      </Alert.Content>
    </Alert.Root>
  );
}

function nextStep(say: Say, status: number): string {
  if (status === 401 || status === 403 || status === 404 || status === 503) return say(`next${status}`);
  return status === 0 ? say("next0") : "";
}

export interface Column<Row> {
  head: string;
  cell: (row: Row) => ReactNode;
  /** A figure: set to the right, with digits of one width. */
  figure?: boolean;
}

interface Tabled<Row> {
  columns: Column<Row>[];
  rows: Row[];
  label: string;
  rowKey: (row: Row, place: number) => string | number;
}

/** A table; of a long one the first `few` rows, and the others when they are asked for. */
export function DataTable<Row>({ rows, few = rows.length, ...table }: Tabled<Row> & { few?: number }) {
  const say = useWords();
  const [all, setAll] = useState(false);
  if (rows.length === 0) return <Text color="fg.muted">{say("nothing")}</Text>;
  const shown = all ? rows : rows.slice(0, few);
  return (
    <>
      <Rows {...table} rows={shown} />
      {shown.length < rows.length ? (
        <Button mt={2} onClick={() => setAll(true)} size="sm" variant="outline">{say("showAll", { count: rows.length })}</Button>
      ) : null}
    </>
  );
}

function Rows<Row>({ columns, rows, label, rowKey }: Tabled<Row>) {
  return (
    <Table.ScrollArea tabIndex={0} aria-label={label} role="region">
      <Table.Root aria-label={label} size="sm">
        <Table.Header>
          <Table.Row>
            {columns.map(({ head, figure }) => (
              <Table.ColumnHeader key={head} scope="col" textAlign={figure ? "end" : "start"} whiteSpace="nowrap">{head}</Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {rows.map((row, place) => (
            <Table.Row key={rowKey(row, place)}>
              {columns.map(({ head, cell, figure }) => (
                <Table.Cell fontVariantNumeric="tabular-nums" key={head} textAlign={figure ? "end" : "start"} verticalAlign="top">
                  {cell(row)}
                </Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Table.ScrollArea>
  );
}

/** The `first` children, then one after the other when the browser is free: those are seen and used while the last is still to come. */
export function InTurn({ children, first = 1 }: { children: ReactNode; first?: number }) {
  const all = Children.toArray(children);
  const [count, setCount] = useState(first);
  const more = count < all.length;
  useEffect(() => (more ? whenFree(() => setCount((before) => before + 1)) : undefined), [more, count]);
  return <>{all.slice(0, count)}</>;
}

const WITHIN_MS = 300;

/** Answers how to call it off. Safari has no idle callbacks. */
function whenFree(act: () => void): () => void {
  if (!("requestIdleCallback" in globalThis)) {
    const timer = setTimeout(act, 0);
    return () => clearTimeout(timer);
  }
  const asked = requestIdleCallback(act, { timeout: WITHIN_MS });
  return () => cancelIdleCallback(asked);
}

/** What is only made once it is wanted. */
export function Unfold({ label, children }: { label: ReactNode; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <Box as="summary" color="fg.info" cursor="pointer" fontSize="sm" mt={1}>{label}</Box>
      {open ? <Box mt={2}>{children}</Box> : null}
    </details>
  );
}

export const Json = ({ value }: { value: unknown }) => (
  <Box as="pre" bg="bg.subtle" borderRadius="md" fontSize="xs" maxH="30rem" overflow="auto" p={3} tabIndex={0} whiteSpace="pre-wrap">
    {JSON.stringify(value, null, 2)}
  </Box>
);

export function Choice<T extends string>({ label, value, options, onChoose }: {
  label: string; value: T; options: { value: T; label: string }[]; onChoose: (value: T) => void;
}) {
  return (
    <HStack as="label" fontSize="sm" gap={2}>
      <Text as="span" color="fg.muted">{label}</Text>
      <NativeSelect.Root size="xs" width="auto">
        <NativeSelect.Field onChange={(event) => onChoose(event.currentTarget.value as T)} value={value}>
          {options.map((option) => <option key={option.value} value={option.value}>{option.label}</option>)}
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
    </HStack>
  );
}
