// SPDX-License-Identifier: Apache-2.0
// Single keys for what can be clicked or typed in as well. Without this file everything works by Tab and Enter.
"use strict";

const typing = (element) =>
  element instanceof HTMLElement && element.matches("input:not([type=radio]), select, textarea, [contenteditable]");

const named = (attribute, key) =>
  [...document.querySelectorAll(`[${attribute}]`)].find((element) => element.getAttribute(attribute) === key);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && typing(document.activeElement)) {
    document.activeElement.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target)) {
    return;
  }
  const pressed = named("data-key", event.key);
  if (pressed) {
    event.preventDefault();
    pressed.click();
    return;
  }
  const field = named("data-key-focus", event.key);
  if (field) {
    event.preventDefault();
    field.closest("details")?.setAttribute("open", "");
    field.focus();
  }
});

// A second click would send the same form again; it would change nothing, and only confuse.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") {
    return;
  }
  if (event.target.dataset.sent) {
    event.preventDefault();
  }
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));

document.querySelectorAll(".keys").forEach((element) => (element.hidden = false));
