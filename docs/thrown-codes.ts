import { Node, SyntaxKind } from 'ts-morph';
import { nameOf, sources } from './sources.js';

/**
 * Which files throw which code. A code is thrown where it is given for an argument whose type is ErrorCode: that of IpgraftError itself,
 * or of a function that makes one. Whoever only hands on what it was given has all of ErrorCode as the type of that
 * argument, and throws nothing of its own.
 */
export function thrownCodes(): Map<string, string[]> {
  const errorCode = sources
    .getSourceFileOrThrow('compiler/errors.ts')
    .getTypeAliasOrThrow('ErrorCode')
    .getType();
  const files = new Map<string, Set<string>>();
  for (const file of sources.getSourceFiles()) {
    for (const argument of argumentsIn(file)) {
      if (argument.getContextualType()?.compilerType !== errorCode.compilerType) continue;
      const type = argument.getType();
      if (type.compilerType === errorCode.compilerType) continue;
      for (const literal of type.isUnion() ? type.getUnionTypes() : [type]) {
        const code = literal.getLiteralValue();
        if (typeof code !== 'string')
          throw new Error(`${nameOf(file)}: which codes are ${argument.getText()}?`);
        files.set(code, (files.get(code) ?? new Set()).add(nameOf(file)));
      }
    }
  }
  return new Map([...files].map(([code, names]) => [code, [...names].sort()]));
}

/** The arguments of all calls, without those that cannot be a code whatever is called: to ask for their types takes long. */
function argumentsIn(file: Node) {
  return [SyntaxKind.CallExpression, SyntaxKind.NewExpression]
    .flatMap((kind) => file.getDescendantsOfKind(kind))
    .flatMap((call) => (Node.isCallExpression(call) || Node.isNewExpression(call) ? call.getArguments() : []))
    .filter(Node.isExpression)
    .filter((argument) => !Node.isStringLiteral(argument) || /^[A-Z]+_/.test(argument.getLiteralValue()))
    .filter((argument) => !Node.isObjectLiteralExpression(argument) && !Node.isArrowFunction(argument));
}
