import { SimpleGrid, Text } from "@chakra-ui/react";
import { useState } from "react";
import type { CellAnswer } from "../api";
import { Through } from "../charts/Through";
import { useFormat } from "../format";
import { useLoadName } from "../load";
import { Choice, DataTable, Section, Unfold } from "../parts";
import { saidOr, useWords } from "../words";

interface Column {
  whose: string;
  name: string;
  at: number[];
  values: number[];
}

const columnsOf = (cell: CellAnswer): Column[] =>
  Object.entries(cell.series).flatMap(([whose, { at_s: at = [], ...rest }]) =>
    Object.entries(rest).flatMap(([name, values]) => (values.length && at.length === values.length ? [{ whose, name, at, values }] : [])),
  );

/** What the server and the GPUs did through a cell: a chart a figure. */
export function Series({ cells }: { cells: CellAnswer[] }) {
  const say = useWords();
  const loadName = useLoadName();
  const watched = cells.filter((cell) => columnsOf(cell).length > 0);
  const [chosen, setChosen] = useState<string>("");
  const cell = watched.find(({ id }) => String(id) === chosen) ?? watched.at(-1);
  if (!cell) return cells.length ? <Section title={say("series")}><Text color="fg.muted">{say("noSeries")}</Text></Section> : null;
  const options = watched.map((each) => ({ value: String(each.id), label: loadName(each) }));
  return (
    <Section aside={<Choice label={say("load")} onChoose={setChosen} options={options} value={String(cell.id)} />} help={say("seriesHelp")} title={say("series")}>
      <Charts columns={columnsOf(cell)} />
    </Section>
  );
}

function Charts({ columns }: { columns: Column[] }) {
  const say = useWords();
  const { seconds } = useFormat();
  const unitOf = useUnit();
  const named = columns.map((column) => ({ ...column, title: `${saidOr(say, column.whose)}: ${saidOr(say, column.name)}`, unit: unitOf(column.name) }));
  const longest = [...named].sort((a, b) => b.at.length - a.at.length)[0];
  return (
    <>
      <SimpleGrid gap={4} minChildWidth="20rem">
        {named.map(({ title, at, values, unit }) => <Through at={at} key={title} title={title} unit={unit} values={values} />)}
      </SimpleGrid>
      <Unfold label={say("asTable")}>
        <DataTable
          columns={[
            { head: say("sinceWindow"), figure: true, cell: (place: number) => seconds(longest?.at[place] ?? 0) },
            ...named.map(({ title, values, unit }) => ({
              head: title, figure: true, cell: (place: number) => (values[place] === undefined ? "–" : unit(values[place])),
            })),
          ]}
          label={say("series")} rowKey={(place) => place} rows={[...(longest?.at.keys() ?? [])]}
        />
      </Unfold>
    </>
  );
}

/** By a figure's name, as the results name their units. */
function useUnit(): (name: string) => (value: number) => string {
  const { bytes, number, share } = useFormat();
  return (name) => {
    if (name === "kv_use" || name === "use") return share;
    if (name.includes("bytes")) return bytes;
    return name === "power_w" ? (value) => `${number(value)} W` : (value) => number(value);
  };
}
