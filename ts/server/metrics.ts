/** What a server counts, and how Prometheus reads it. */

export class Metrics {
  connectionsTotal = 0;
  refusedTotal = 0;
  framesReceived = 0;
  framesSent = 0;
  bytesReceived = 0;
  bytesSent = 0;
  pausesTotal = 0;
  slowClosedTotal = 0;
  failuresTotal = 0;
  roomsOpenedTotal = 0;
}

export interface Gauges {
  readonly connections: number;
  readonly roomsOpen: number;
}

type Row = readonly [name: string, type: "counter" | "gauge", help: string, value: number];

/** In the text format of Prometheus, version 0.0.4. */
export function metricsText(metrics: Metrics, { connections, roomsOpen }: Gauges): string {
  const rows: readonly Row[] = [
    ["connections", "gauge", "Connections now", connections],
    ["rooms_open", "gauge", "Rooms open now", roomsOpen],
    ["connections_total", "counter", "Connections since the start", metrics.connectionsTotal],
    ["refused_total", "counter", "Requests to connect that were refused", metrics.refusedTotal],
    ["rooms_opened_total", "counter", "Times that a room was opened", metrics.roomsOpenedTotal],
    ["received_messages_total", "counter", "Messages of clients", metrics.framesReceived],
    ["sent_messages_total", "counter", "Messages to clients", metrics.framesSent],
    ["received_bytes_total", "counter", "Bytes of messages of clients", metrics.bytesReceived],
    ["sent_bytes_total", "counter", "Bytes of messages to clients", metrics.bytesSent],
    ["pauses_total", "counter", "Times that a client was too quick", metrics.pausesTotal],
    ["slow_closed_total", "counter", "Clients that read too slowly", metrics.slowClosedTotal],
    ["failures_total", "counter", "Connections that ended by an error", metrics.failuresTotal],
    ["resident_bytes", "gauge", "Memory of the process", process.memoryUsage.rss()],
    ["uptime_seconds", "gauge", "Age of the process", Math.floor(process.uptime())],
  ];
  return rows
    .map(([name, type, help, value]) => {
      const full = `lastwrite_${name}`;
      return `# HELP ${full} ${help}.\n# TYPE ${full} ${type}\n${full} ${value}\n`;
    })
    .join("");
}
