/** What every program here does with the installed package; browsers run it too, so it asks nothing of Node. */
export async function agree({ loadEngine, createDictionary }, backend) {
  const engine = await loadEngine({ backend });
  const a = createDictionary({ engine });
  const b = createDictionary({ engine });
  a.set("a", 1);
  b.merge(a.deltaSince());
  const results = String([engine.backend, b.get("a"), b.digest() === a.digest()]);
  if (results !== String([backend, 1, true])) throw new Error(`${backend} gave ${results}`);
}
