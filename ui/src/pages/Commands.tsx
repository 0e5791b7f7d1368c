import { Box, Text } from "@chakra-ui/react";
import type { StageAnswer } from "../api";
import { Section, Unfold } from "../parts";
import { useWords } from "../words";

interface Command {
  host: string;
  why: string;
  line: string;
}

/** Every command line that acted in the run, as a person would type it. */
export function Commands({ stages }: { stages: StageAnswer[] }) {
  const say = useWords();
  const acted = stages.flatMap((stage) => {
    const commands = commandsOf(stage);
    return commands.length ? [{ stage, commands }] : [];
  });
  if (acted.length === 0) return null;
  return (
    <Section help={say("commandsHelp")} title={say("commands")}>
      {acted.map(({ stage, commands }) => (
        <Unfold key={`${stage.name} ${stage.map_index} ${stage.try_number}`} label={`${nameOf(stage)} (${commands.length})`}>
          {commands.map(({ host, why, line }, place) => (
            <Box key={place} mb={2}>
              <Text color="fg.muted" fontSize="xs">{[host, why].filter(Boolean).join(": ")}</Text>
              <Box as="pre" bg="bg.subtle" borderRadius="md" fontSize="xs" maxH="12rem" overflow="auto" p={2} tabIndex={0} whiteSpace="pre-wrap">{line}</Box>
            </Box>
          ))}
        </Unfold>
      ))}
    </Section>
  );
}

export const nameOf = ({ name, map_index }: StageAnswer) => (map_index < 0 ? name : `${name} [${map_index}]`);

/** Runs of earlier versions kept the server's command alone. */
function commandsOf({ detail }: StageAnswer): Command[] {
  if (Array.isArray(detail["commands"])) return detail["commands"] as Command[];
  return typeof detail["command"] === "string" ? [{ host: "", why: "", line: detail["command"] }] : [];
}
