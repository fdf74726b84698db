/**
 * The value of a JSON text as Python writes it: its infinities, which JSON does not have, stand in many a `scheduler_config.json`.
 * @throws SyntaxError
 */
export function parsePythonJson(text: string): unknown {
  const standard = text.replace(
    /("(?:[^"\\]|\\.)*")|(-?)\bInfinity\b/g,
    (_, quoted, sign) => quoted ?? `${sign}1e999`,
  );
  return JSON.parse(standard);
}
