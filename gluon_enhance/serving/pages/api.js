// The server's API, and news of its jobs.

/** Ask the API; what it refuses becomes an error with its text. */
export async function ask(method, path, body) {
  const answer = await fetch(`/api/${path}`, { method, body });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error ?? `the server answered ${answer.status}`);
}

/**
 * Call a function with each job that is new or changed, and another with the number of one that is
 * gone; a third when all is told anew, as after the server was started again.
 */
export function follow(onJob, onGone, onBegin) {
  const news = new EventSource("/api/events");
  news.addEventListener("begin", onBegin);
  news.addEventListener("job", ({ data }) => onJob(JSON.parse(data)));
  news.addEventListener("gone", ({ data }) => onGone(JSON.parse(data).id));
}

/** Say something to those who listen to a screen reader. */
export function say(text) {
  document.querySelector("#news").textContent = text;
}
