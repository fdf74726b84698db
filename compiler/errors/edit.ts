import type { Entry } from './entry.js';

/** What a compilation must never do, and what a comparison finds. */
export const EDIT_ERRORS = {
  EDIT_PRECONDITION: {
    when: 'An edit does not find what it names.',
    hint: 'This is a fault in ipgraft, or the file was changed after it was patched: please report it with the model.',
  },
  EDIT_NAME_TAKEN: {
    when: 'An inserted name exists already.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  EDIT_JOURNAL_MALFORMED: {
    when: 'The edit journal in a patched model cannot be read.',
    hint: 'The file was changed after it was patched: compile it again from the base.',
  },
  PASS_BROKEN: {
    when: 'A pass did not do what it promises.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_VALUE_UNKNOWN: {
    when: 'A node reads a value that nothing makes before it.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_VALUE_MADE_TWICE: {
    when: 'Two nodes make one value.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_NAME_TAKEN: {
    when: 'An inserted node has the name of another.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_UNUSED: {
    when: 'Something was inserted that nothing reads.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_BASE_CHANGED: {
    when: 'What strip restored is not the base that was compiled.',
    hint: 'The file was changed after it was patched, or the base file it refers to was replaced.',
  },
  VERIFY_UNDECLARED: {
    when: 'The patched graph differs from the base in something that no edit declares.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_OTHER_BASE: {
    when: 'The model given as the base is not the one that the patched model was compiled from.',
    hint: 'Give the base itself, or get it back with `ipgraft strip`.',
  },
} as const satisfies Record<string, Entry>;
