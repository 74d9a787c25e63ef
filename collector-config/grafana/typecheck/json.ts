// SPDX-License-Identifier: Apache-2.0
import type { Dashboard, DataQuery, DataSourceRef } from '@grafana/schema';

/** A type as it stands in a JSON file: enums are their plain values. */
export type Json<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends Array<infer Item>
      ? Array<Json<Item>>
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

/** What the schema leaves open, and every panel here must say. */
export interface Described {
  title: string;
  description: string;
  datasource: Json<DataSourceRef>;
}

export type DashboardJson = Json<Dashboard>;

/** A query of Prometheus or Loki, whose own types are not part of the schema. */
export type Target = Json<DataQuery> & {
  datasource: Json<DataSourceRef>;
  exemplar?: boolean;
  expr: string;
  format?: 'heatmap' | 'table' | 'time_series';
  instant?: boolean;
  legendFormat?: string;
  maxLines?: number;
  queryType?: 'instant' | 'range';
  range?: boolean;
};
