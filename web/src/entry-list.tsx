/** All keys of the room, of which only those in sight are rows of the document. */

import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import type { Store } from "lastwrite";
import { type Entry, useEntries } from "lastwrite/react";
import {
  type KeyboardEvent,
  type ReactNode,
  useCallback,
  useDeferredValue,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";

import { Arranger, type Order } from "./arrange.ts";
import { EditRow, Row } from "./entry-row.tsx";
import { counted } from "./words.ts";

/** As in the style sheet. */
const ROW_PX = 40;
const PAGE_ROWS = 10;

const GRID_ID = "keys";

/** Where the focus goes when what had it is gone. */
export function focusList(): void {
  document.getElementById(GRID_ID)?.focus({ preventScroll: true });
}

export interface EntryListProps {
  readonly store: Store;
  readonly chosenKey: string | undefined;
  /** The row that is edited, as it was when that began. */
  readonly edited: Entry | undefined;
  readonly onChoose: (key: string) => void;
  readonly onEdit: (key: string) => void;
  /** Editing is over; what was done is told in words. */
  readonly onEdited: (words?: string) => void;
  readonly onRemove: (key: string) => void;
}

export function EntryList(props: EntryListProps): ReactNode {
  const { store, chosenKey, edited, onChoose, onEdit, onEdited, onRemove } = props;
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<Order>({ by: "key", descending: false });
  const arranger = useMemo(() => new Arranger(store), [store]);
  const entries = useEntries(store);
  // Typing goes before sorting, and so do changes that come by the hundreds.
  const [shownEntries, shownFilter] = [useDeferredValue(entries), useDeferredValue(filter)];
  const found = useMemo(
    () => arranger.arranged(shownEntries, shownFilter, order),
    [arranger, shownEntries, shownFilter, order],
  );
  const rows = useRows(found, edited);
  const active = useMemo(
    () => (chosenKey === undefined ? -1 : rows.findIndex(([key]) => key === chosenKey)),
    [rows, chosenKey],
  );

  const grid = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => grid.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
    // Behind the header, which stays.
    scrollMargin: ROW_PX,
    scrollPaddingStart: ROW_PX,
    getItemKey: useCallback((index: number) => rows[index]?.[0] ?? index, [rows]),
    // The chosen row is there out of sight, too: it is the one that the focus is on.
    rangeExtractor: useCallback(
      (range: Range) => {
        const indexes = defaultRangeExtractor(range);
        return active < 0 || indexes.includes(active) ? indexes : [...indexes, active];
      },
      [active],
    ),
  });

  const choose = (index: number): void => {
    const at = Math.max(0, Math.min(rows.length - 1, index));
    const key = rows[at]?.[0];
    if (key === undefined) return;
    onChoose(key);
    virtualizer.scrollToIndex(at);
  };
  const remove = (): void => {
    if (chosenKey === undefined || active < 0) return;
    // So that the next stroke has something to go on from.
    const neighbour = rows[active + 1] ?? rows[active - 1];
    onRemove(chosenKey);
    if (neighbour !== undefined) onChoose(neighbour[0]);
  };
  const edit = (): void => {
    if (chosenKey !== undefined && active >= 0) onEdit(chosenKey);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const act = {
      ArrowDown: () => choose(active + 1),
      ArrowUp: () => choose(active - 1),
      PageDown: () => choose(active + PAGE_ROWS),
      PageUp: () => choose(active - PAGE_ROWS),
      Home: () => choose(0),
      End: () => choose(rows.length - 1),
      Enter: edit,
      F2: edit,
      Delete: remove,
    }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
  const chooseByPointer = useCallback(
    (key: string) => {
      onChoose(key);
      focusList();
    },
    [onChoose],
  );
  const endEditing = (words?: string): void => {
    onEdited(words);
    focusList();
  };
  const isEdited = edited !== undefined;
  useEffect(() => {
    // The editor may have been asked for while its row was out of sight.
    if (isEdited && active >= 0) virtualizer.scrollToIndex(active);
  }, [isEdited]);

  const items = virtualizer.getVirtualItems();
  return (
    <section className="card list" aria-label="Keys">
      <div className="list-tools">
        <input
          type="search"
          aria-label="Filter by key or value"
          placeholder="Filter by key or value"
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
        />
        <p className="count" role="status">
          {countOf(found.length, shownEntries.length, shownFilter)}
        </p>
      </div>
      <div
        ref={grid}
        id={GRID_ID}
        className="grid"
        role="grid"
        tabIndex={0}
        aria-label="Keys and values. Arrows choose, Enter edits, Delete removes."
        aria-rowcount={rows.length + 1}
        aria-colcount={3}
        aria-activedescendant={active >= 0 ? rowId(active) : undefined}
        onKeyDown={onKeyDown}
      >
        <div role="rowgroup" className="head">
          <div role="row" className="row" aria-rowindex={1}>
            <Heading by="key" name="Key" order={order} onOrder={setOrder} />
            <Heading by="value" name="Value" order={order} onOrder={setOrder} />
            <Heading by="when" name="Written" order={order} onOrder={setOrder} />
          </div>
        </div>
        <div role="rowgroup" className="body" style={{ height: `${rows.length * ROW_PX}px` }}>
          {items.map(({ index, start, key }) => {
            const entry = rows[index];
            if (entry === undefined) return null;
            const place = { id: rowId(index), index, top: start - ROW_PX };
            if (entry[0] === edited?.[0]) {
              return (
                <EditRow key={key} {...place} entry={edited} store={store} onDone={endEditing} />
              );
            }
            return (
              <Row
                key={key}
                {...place}
                entry={entry}
                writtenMs={store.stampOf(entry[0])?.millis}
                isActive={index === active}
                onChoose={chooseByPointer}
                onEdit={onEdit}
              />
            );
          })}
        </div>
      </div>
      {rows.length === 0 && (
        <p className="empty">
          {shownFilter === ""
            ? "Nothing is here yet. What you write shows here, and with everybody in this room."
            : `No key or value contains “${shownFilter}”.`}
        </p>
      )}
    </section>
  );
}

/** The rows with the one that is edited: it stays where it was, also when its key is removed or no longer found. */
function useRows(found: readonly Entry[], edited: Entry | undefined): readonly Entry[] {
  const lastIndex = useRef(0);
  const at = useMemo(
    () => (edited === undefined ? -1 : found.findIndex(([key]) => key === edited[0])),
    [found, edited],
  );
  useEffect(() => {
    if (at >= 0) lastIndex.current = at;
  }, [at]);
  return useMemo(
    () => (edited === undefined || at >= 0 ? found : found.toSpliced(lastIndex.current, 0, edited)),
    [found, edited, at],
  );
}

interface HeadingProps {
  readonly by: Order["by"];
  readonly name: string;
  readonly order: Order;
  readonly onOrder: (order: Order) => void;
}

function Heading({ by, name, order, onOrder }: HeadingProps): ReactNode {
  const isChosen = order.by === by;
  const direction = order.descending ? "descending" : "ascending";
  return (
    <span role="columnheader" className={`cell-${by}`} aria-sort={isChosen ? direction : "none"}>
      <button
        type="button"
        onClick={() => onOrder({ by, descending: isChosen ? !order.descending : by === "when" })}
      >
        {name}
        <span aria-hidden="true" className="direction">
          {isChosen ? (order.descending ? "↓" : "↑") : ""}
        </span>
      </button>
    </span>
  );
}

function rowId(index: number): string {
  return `row-${index}`;
}

function countOf(found: number, all: number, filter: string): string {
  const keys = counted(all, "key", "keys");
  return filter === "" ? keys : `${found.toLocaleString("en")} of ${keys}`;
}
