/** Where the page begins. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app.tsx";
import { keepPage } from "./update.tsx";

if (location.pathname === "/") history.replaceState(null, "", "/lobby");

const element = document.getElementById("page");
if (element === null) throw new Error("the page has no place for itself");
createRoot(element).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

void keepPage();
