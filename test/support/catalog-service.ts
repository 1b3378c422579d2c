// The CatalogService of tests: little behaviour, many descriptors.

import { create, setExtension } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { CatalogService, Condition, FindResponse_Place } from "../gen/lictor/test/v1/catalog_pb.ts";
import { LabelSchema } from "../gen/lictor/test/v1/label_pb.ts";
import { weight } from "../gen/lictor/test/v1/shelf_pb.ts";

/** Adds CatalogService to a router. */
export function catalogService(router: ConnectRouter): void {
  router.service(CatalogService, {
    find({ key }) {
      const label = create(LabelSchema, { text: "red" });
      setExtension(label, weight, 7);
      return {
        book: { title: `${key.case} ${key.value}`, place: FindResponse_Place.SHELF },
        foundAt: { seconds: 1n },
        labels: { spine: label },
        shelf: { room: "cellar" },
        condition: Condition.WORN,
      };
    },
  });
}
