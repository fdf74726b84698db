import { byId } from '../elements.js';
import { Refused, TokenNeeded } from './ask-for.js';

/** The token that the reader gave, in memory alone: it goes with the page. */
export class TokenForm {
  private given: string | undefined;
  private readonly form = byId<HTMLFormElement>('token-form');
  private readonly field = byId<HTMLInputElement>('token');

  /** @param onToken what is to be done again with another token */
  constructor(onToken: () => void) {
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.given = this.field.value.trim();
      onToken();
    });
  }

  /** `undefined` before one was given. */
  get token(): string | undefined {
    return this.given;
  }

  /**
   * Shows what lies below when `ask` does, else the form where it wants a token, else what went wrong.
   * @param what cannot be shown then, as words
   */
  async show<T>(ask: () => Promise<T>, below: HTMLElement, what: string): Promise<T | undefined> {
    const trouble = byId('trouble');
    try {
      const answer = await ask();
      this.form.hidden = true;
      trouble.hidden = true;
      below.hidden = false;
      // A link brings no token.
      for (const link of document.querySelectorAll<HTMLElement>('nav .more'))
        link.hidden = this.given !== undefined;
      return answer;
    } catch (error) {
      const isToken = error instanceof TokenNeeded;
      below.hidden = true;
      this.form.hidden = !isToken;
      trouble.hidden = isToken && this.given === undefined;
      trouble.textContent = isToken
        ? 'This is not the token of the server.'
        : `${what} cannot be shown. ${messageOf(error)}`;
      if (isToken) this.field.focus();
      return undefined;
    }
  }
}

function messageOf(error: unknown): string {
  const { message } = error as Error;
  return error instanceof Refused ? `${error.status}: ${message}` : message;
}
