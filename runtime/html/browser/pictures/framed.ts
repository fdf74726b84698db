/**
 * Gives an element the size at which a picture is looked at: its own in CSS pixels, small ones larger, within its frame and the window. So
 * previews, pictures and comparisons of one size lie in one place.
 * @param size of the picture in pixels
 */
export function framed<E extends HTMLElement>(
  element: E,
  { width, height }: { readonly width: number; readonly height: number },
): E {
  element.classList.add('framed');
  element.style.setProperty('--width', `${width}px`);
  element.style.setProperty('--ratio', `${width / height}`);
  return element;
}
