// The script of the page of pictures. Names and prompts become text, never markup.
import { byId } from './elements.js';
import { clearFaults, placeOfField, showFault } from './pictures/faults.js';
import { Gallery } from './pictures/gallery.js';
import { type Made, paint } from './pictures/paint.js';
import { pickImage } from './pictures/picked-image.js';
import { Progress } from './pictures/progress.js';
import { askPipelines, type ServedPipeline } from './pictures/served.js';
import { SettingsForm } from './pictures/settings-form.js';
import type { Shot } from './pictures/shot.js';
import { Stage } from './pictures/stage.js';
import { type Wish, withoutImages } from './pictures/wish.js';
import { Refused, TokenNeeded } from './serve/ask-for.js';
import { TokenForm } from './serve/token-form.js';
import { offerTheme } from './theme.js';

const tokenForm = new TokenForm(() => void start());
const progress = new Progress();
const gallery = new Gallery(show);
const stage = new Stage(
  {
    compare: (shot) => void compare(shot),
    useSettings: ({ wish }) => {
      form!.wish = wish;
      clearFaults();
      byId('prompt').focus();
    },
    usePrompt: ({ image }) => form!.promptWith(image),
    useStart: ({ image }) => form!.startWith(image),
  },
  () => tokenForm.token !== undefined,
);
let form: SettingsForm | undefined;
/** Of what is made now. */
let running: AbortController | undefined;

async function start(): Promise<void> {
  const pipelines = await tokenForm.show(
    () => askPipelines(tokenForm.token),
    byId('studio'),
    'The pipelines',
  );
  if (pipelines === undefined) return;
  // After a new token in mid-visit all that was filled in stays.
  form ??= new SettingsForm(pipelines);
  byId('prompt').focus({ preventScroll: true });
}

function show(shot: Shot): void {
  stage.showShot(shot);
  gallery.mark([shot]);
}

async function generate(): Promise<void> {
  if (form === undefined || running !== undefined || !form.check()) return;
  form.drawSeed();
  await make(form.wish, form.pipeline, show);
}

/** Makes the pictures of a wish, and shows each as it comes. */
async function make(wish: Wish, pipeline: ServedPipeline, onShot: (shot: Shot) => void): Promise<void> {
  const controller = new AbortController();
  running = controller;
  clearFaults();
  progress.start();
  setRunning(true);
  let count = 0;
  let words = '';
  try {
    await paint(
      wish,
      pipeline,
      tokenForm.token,
      {
        queued: (position) => progress.queue(position),
        started: (steps) => progress.begin(steps),
        step(step, steps, previews) {
          progress.step(step, steps);
          stage.showPreviews(previews, wish);
        },
        async made(made) {
          const shot = await shotOf(wish, pipeline, made);
          gallery.add(shot);
          count++;
          onShot(shot);
        },
      },
      controller.signal,
    );
    words = count === 1 ? 'The picture is there.' : `${count} pictures are there.`;
  } catch (error) {
    words = controller.signal.aborted ? 'Cancelled.' : 'No picture.';
    if (!controller.signal.aborted) tell(error);
    const last = gallery.shots.at(-1);
    if (last !== undefined) show(last);
    else stage.clear();
  } finally {
    running = undefined;
    setRunning(false);
    progress.end(words);
  }
}

/** The same picture at scale 0, made where it is not there yet, and both over each other. */
async function compare(after: Shot): Promise<void> {
  const both = (before: Shot) => {
    stage.showComparison(before, after);
    gallery.mark([before, after]);
  };
  const wish = withoutImages(after.wish);
  const known = gallery.shots.find((shot) => isSame(shot.wish, wish));
  if (known !== undefined) both(known);
  else if (running === undefined) await make(wish, after.pipeline, both);
}

function isSame(a: Wish, b: Wish): boolean {
  const images = ({ images, initImage, mask }: Wish) => [...images.flat(), initImage, mask];
  const settings = (wish: Wish) =>
    JSON.stringify({ ...wish, images: wish.images.map((each) => each.length), initImage: 0, mask: 0 });
  return settings(a) === settings(b) && images(a).every((each, i) => each === images(b)[i]);
}

async function shotOf(wish: Wish, pipeline: ServedPipeline, made: Made): Promise<Shot> {
  const image = await pickImage(made.blob, `${wish.model}-${made.seed}.png`);
  const own = { ...wish, seed: made.seed, pictures: 1 };
  return { number: gallery.shots.length + 1, wish: own, pipeline, made, image };
}

/** Says in place what went wrong. */
function tell(error: unknown): void {
  if (error instanceof TokenNeeded) return void start();
  if (error instanceof Refused) showFault(placeOfField(error.field), error.message);
  // What browsers say of a connection that fails is no sentence for people.
  else if (error instanceof TypeError) showFault('all', 'The server does not answer.');
  else showFault('all', (error as Error).message);
}

function setRunning(isRunning: boolean): void {
  const [button, cancel] = [byId<HTMLButtonElement>('generate'), byId('cancel')];
  const hadFocus = document.activeElement === (isRunning ? button : cancel);
  button.disabled = isRunning;
  byId('progress').hidden = !isRunning;
  byId('stage').setAttribute('aria-busy', `${isRunning}`);
  if (hadFocus) (isRunning ? cancel : button).focus({ preventScroll: true });
  // On a phone the picture is far below.
  const { top } = byId('stage').getBoundingClientRect();
  if (isRunning && (top < -100 || top > innerHeight / 2)) byId('stage').scrollIntoView();
}

offerTheme();
byId('wish').addEventListener('submit', (event) => {
  event.preventDefault();
  void generate();
});
byId('cancel').addEventListener('click', () => running?.abort());
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void generate();
  else if (event.key === 'Escape' && running !== undefined) running.abort();
  else return;
  event.preventDefault();
});
void start();
