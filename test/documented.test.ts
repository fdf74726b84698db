import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Node } from 'ts-morph';
import { CATALOGUE, EXIT_CODES } from '../compiler/errors.js';
import { nameOf, sources } from '../docs/sources.js';
import { thrownCodes } from '../docs/thrown-codes.js';
import { COMMANDS, VERBS } from './verbs.js';

const files = sources.getSourceFiles();
const codes = Object.keys(CATALOGUE);
const families = [...new Set(codes.map(familyOf))];

function familyOf(code: string): string {
  return code.slice(0, code.indexOf('_'));
}

/** What is in `found` and not in `known`. */
function unknown(found: Iterable<string>, known: Iterable<string>): string[] {
  const all = new Set(known);
  return [...new Set(found)].filter((each) => !all.has(each));
}

const pages = [
  'README.md',
  ...readdirSync('docs').flatMap((name) => (/\.md$/.test(name) ? [`docs/${name}`] : [])),
];

/** The parts of the pages that somebody wrote, from one heading to the next, the heading included. */
const sections = pages
  .filter((page) => !/(errors|passes|reports)\.md$/.test(page))
  .flatMap((page) => readFileSync(page, 'utf8').split(/^(?=#{1,4} )/m));

/** What looks like a code, or a part of one: `MODEL_EMPTY`, `MODEL_*`, `MODEL_`. */
function codesNamedIn(text: string): string[] {
  return [...text.matchAll(/`([A-Z]+_(?:[A-Z_]+|\*)?)`/g)].map((match) => match[1]!);
}

/** Whether a name from a text stands for something: a code, or the beginning of one. */
function isCode(name: string): boolean {
  return name.endsWith('_') || name.endsWith('*')
    ? codes.some((code) => code.startsWith(name.replace('*', '')))
    : name in CATALOGUE;
}

describe('errors, in the sources and in the docs', () => {
  it('every code that is thrown is in the catalogue, and every code of the catalogue is thrown', () => {
    const thrown = thrownCodes();
    assert.deepEqual(unknown(thrown.keys(), codes), [], 'not in the catalogue');
    assert.deepEqual(unknown(codes, thrown.keys()), [], 'never thrown');
  });

  it('every code and every family has its place in docs/errors.md, with an exit code, and nothing else has', () => {
    const page = readFileSync('docs/errors.md', 'utf8');
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]!);
    assert.deepEqual(rows.toSorted(), codes.toSorted());
    const headings = [...page.matchAll(/^## ([A-Z]+)_ \(exit code (\d+)\)$/gm)].map((match) => [
      match[1]!,
      Number(match[2]),
    ]);
    assert.deepEqual(headings.toSorted(), families.map((family) => [family, EXIT_CODES[family]]).toSorted());
  });

  it('every @throws names an error class that there is, and codes that there are', () => {
    let count = 0;
    for (const file of files) {
      file.forEachDescendant((node) => {
        if (!Node.isJSDocable(node)) return;
        for (const tag of node.getJsDocs().flatMap((doc) => doc.getTags())) {
          if (tag.getTagName() !== 'throws') continue;
          const text = tag.getCommentText() ?? '';
          const named = codesNamedIn(text);
          const where = `${nameOf(file)}: @throws ${text}`;
          assert.match(text, /^(IpgraftError|ClientError|RangeError|SyntaxError|as \{@link [\w.]+\})/, where);
          assert.deepEqual(
            named.filter((name) => !isCode(name)),
            [],
            where,
          );
          const family = /of the family `(\w+)`/.exec(text)?.[1];
          assert.ok(family === undefined || families.includes(family), where);
          count += named.length;
        }
      });
    }
    assert.ok(count > 100, `${count}`);
  });

  it('every code that a page names is one', () => {
    for (const page of pages) {
      // Other things are written in capitals too.
      const named = codesNamedIn(readFileSync(page, 'utf8')).filter((name) => familyOf(name) in EXIT_CODES);
      assert.deepEqual(
        named.filter((name) => !isCode(name)),
        [],
        page,
      );
    }
  });
});

describe('passes, in the sources and in the docs', () => {
  it('every pass has a section and a picture, and every section a pass', () => {
    const names = files
      .filter((file) =>
        file
          .getFunctions()
          .some((each) => each.isExported() && each.getReturnTypeNode()?.getText() === 'Pass'),
      )
      .map((file) => file.getBaseNameWithoutExtension())
      // Models of their own, not steps of the pipeline.
      .filter((name) => name !== 'image-projection' && name !== 'image-kv');
    const page = readFileSync('docs/passes.md', 'utf8');
    const found = [...page.matchAll(/^## (\S+)$/gm)].map((match) => match[1]!);
    assert.deepEqual(found.toSorted(), names.toSorted());
    for (const name of names) assert.ok(existsSync(`docs/pictures/${name}.svg`), name);
  });
});

describe('the command line, in the sources and in the docs', () => {
  const readme = readFileSync('README.md', 'utf8');

  it('the table of verbs has every verb and no other, with its arguments', () => {
    const rows = [...readme.matchAll(/^\| `ipgraft (\w+) ([^`]*)` \|/gm)];
    assert.deepEqual(
      rows.map((match) => match[1]!).toSorted(),
      COMMANDS.map((command) => command.name()).toSorted(),
    );
    for (const [, verb, rest] of rows) {
      const command = COMMANDS.find((each) => each.name() === verb)!;
      if (command.commands.length > 0) {
        // One row for all verbs below it.
        const below = rest!.split(' ')[0]!.split('\\|');
        assert.deepEqual(below.toSorted(), command.commands.map((each) => each.name()).toSorted());
        continue;
      }
      const given = rest!.split(' -')[0]!.split(' ');
      assert.equal(given.length, command.registeredArguments.length, `${verb} ${rest}`);
      for (const { long, short } of command.options.filter(({ mandatory }) => mandatory))
        assert.ok(rest!.includes(`${short} `) || rest!.includes(`${long} `), `${verb} needs ${long}`);
    }
  });

  for (const { name: verb, command } of VERBS) {
    it(`every option of ${verb} is described where the verb is`, () => {
      const about = sections.filter(
        (section) => section.includes(`\`${verb}\``) || section.includes(`ipgraft ${verb}`),
      );
      const named = about.flatMap((section) => section.match(/--?[a-z][a-z-]*/g) ?? []);
      const bare = command.options.filter(
        ({ long, short }) => !named.includes(long!) && !named.includes(short ?? long!),
      );
      assert.ok(command.options.length > 0);
      assert.deepEqual(
        bare.map(({ flags }) => flags),
        [],
      );
    });
  }

  it('the table of options of compile has every option and no other', () => {
    const compile = COMMANDS.find((command) => command.name() === 'compile')!;
    const table = sections.find((section) => section.startsWith('### Options of `compile`'))!;
    const rows = table.split('\n').filter((line) => line.startsWith('| `-'));
    const listed = rows.flatMap((row) => row.split(' | ')[0]!.match(/--[a-z][a-z-]*/g)!);
    assert.deepEqual(listed.toSorted(), compile.options.map(({ long }) => long!).toSorted());
  });
});
