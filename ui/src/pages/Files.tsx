import { Link as Anchor, Text } from "@chakra-ui/react";
import type { CellAnswer, FileAnswer, FilesAnswer } from "../api";
import { useFormat } from "../format";
import { DataTable, Failure, Section, Waiting } from "../parts";
import { type Asked } from "../useAnswer";
import { useWords } from "../words";

export const filesPath = (run: number) => `runs/${run}/files`;

/** A link that saves one file of a run. */
export function FileLink({ run, name, children }: { run: number; name: string; children: string }) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const address = new URL(`slipway/api/${filesPath(run)}/${path}`, document.baseURI).href;
  return <Anchor aria-label={`${children}: ${name}`} color="fg.info" download href={address}>{children}</Anchor>;
}

/** What a cell left for other programs: every request, and Locust's own report. */
export function CellFiles({ run, cell, files }: { run: number; cell: CellAnswer; files: FileAnswer[] }) {
  const has = (name: string) => files.some((file) => file.name === `${cell.folder}/${name}`);
  return (
    <>
      {has("requests.parquet") ? <FileLink name={`${cell.folder}/requests.parquet`} run={run}>Parquet</FileLink> : null}{" "}
      {has("report.html") ? <FileLink name={`${cell.folder}/report.html`} run={run}>Locust</FileLink> : null}
    </>
  );
}

/** Everything that the run left beside its figures. */
export function Files({ run, asked: { data, refused } }: { run: number; asked: Asked<FilesAnswer> }) {
  const say = useWords();
  const { bytes } = useFormat();
  return (
    <Section help={say("filesHelp")} title={say("files")}>
      {refused ? <Failure refused={refused} /> : null}
      {!refused && !data ? <Waiting /> : null}
      {data?.files.length === 0 ? <Text color="fg.muted">{say("noFiles")}</Text> : null}
      {data?.files.length ? (
        <DataTable
          columns={[
            { head: say("file"), cell: ({ name }) => <FileLink name={name} run={run}>{name}</FileLink> },
            { head: say("size"), figure: true, cell: (file) => bytes(file.bytes) },
          ]}
          label={say("files")} rowKey={({ name }) => name} rows={data.files}
        />
      ) : null}
    </Section>
  );
}
