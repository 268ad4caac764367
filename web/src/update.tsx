/** The service worker, and what it brings: a later version of the page. */

import { type ReactNode, useEffect, useState } from "react";

let registration: ServiceWorkerRegistration | undefined;

/** Has the page kept for when there is no server. Where browsers have no service workers, or no leave to, it works without. */
export async function keepPage(): Promise<void> {
  try {
    registration = await navigator.serviceWorker.register("/sw.js");
  } catch {
    // It is not kept, and can be used all the same.
  }
}

/** Asks the server whether there is a later version: it may be another server than before. */
export function lookForUpdate(): void {
  void registration?.update().catch(() => {});
}

/** Says that the page was replaced by a later version, which the next loading shows. */
export function UpdateNotice(): ReactNode {
  const [isReplaced, setIsReplaced] = useState(false);
  useEffect(() => {
    const workers = (navigator as Partial<Navigator>).serviceWorker;
    // The first worker of all replaces nothing.
    if (workers?.controller == null) return undefined;
    const replaced = (): void => setIsReplaced(true);
    workers.addEventListener("controllerchange", replaced);
    return () => workers.removeEventListener("controllerchange", replaced);
  }, []);
  return (
    <div className="update" role="status">
      {isReplaced && (
        <p>
          A later version of this page is here.{" "}
          <button type="button" onClick={() => location.reload()}>
            Load it
          </button>
        </p>
      )}
    </div>
  );
}
