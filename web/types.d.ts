/** The objects of the API, as far as the page uses them. A browser does not load this file. */

export type GetToken = (how?: { anew: boolean }) => Promise<string> | string;

/** A JSON Schema. */
export type Schema = Record<string, any>;

export interface Report {
  id: string;
  title: string;
  description: string | null;
  formats: { name: string; options: Schema }[];
  parameters: Schema;
  columns: { name: string; title: string }[];
  sortable: string[];
}

export interface Key {
  column: string;
  descending: boolean;
}

/** The body of POST /exports. */
export interface Body {
  report: string;
  format: string;
  parameters: Record<string, unknown>;
  options: Record<string, unknown>;
  columns?: string[];
  sort?: Key[];
}

export interface Export extends Body {
  id: string;
  file_name: string;
  status: string;
  progress: { parts_done: number | null; parts_total: number | null };
  created_at: string;
  finished_at: string | null;
  expires_at: string | null;
  rows: number | null;
  bytes: number | null;
  attempt: number;
  warning: { type: string; title: string; remedy: string } | null;
  error: { type: string; title: string; detail: string; retryable: boolean; remedy: string } | null;
}

export interface Active {
  limit: number;
  used: number;
  remaining: number;
}

export interface Limits {
  active_exports: Active;
  active_exports_of_tenant: Active;
  rows_per_export: number;
  retention_days: number;
}

/** A fault of a request; `pointer` is a JSON Pointer into its body. */
export interface Fault {
  pointer: string;
  detail: string;
  allowed: string;
}
