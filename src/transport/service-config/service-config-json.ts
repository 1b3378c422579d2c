// gRPC's service config as JSON, for editors: completes fields and names of codes in code. Types only; what a config may hold is checked when
// it is read, as a file's JSON has no types.
// https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto

/** Seconds as protobuf's JSON has them: "1.5s", at most nine digits after the point. */
// The plain string beside the pattern lets JSON modules through, whose texts have no narrower type.
export type DurationJson = `${number}s` | (string & {});

/** The name of a code in any case, or its number from 1 to 16. */
export type CodeJson =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED"
  | (string & {})
  | number;

/** Which methods an entry is for: one, all of a service, or with neither all there are. */
export interface MethodNameJson {
  /** With its package: "hello.HelloService". */
  readonly service?: string | null;
  /** Default: all of the service's. */
  readonly method?: string | null;
}

/** gRFC A6. All but `perAttemptRecvTimeout` must be there. */
export interface RetryPolicyJson {
  /** Attempts in all, at least 2; more than 5 are 5. */
  readonly maxAttempts: number;
  readonly initialBackoff: DurationJson;
  readonly maxBackoff: DurationJson;
  readonly backoffMultiplier: number;
  readonly retryableStatusCodes: readonly CodeJson[];
  /** How long an attempt waits for the server's headers. */
  readonly perAttemptRecvTimeout?: DurationJson | null;
}

/** gRFC A6. */
export interface HedgingPolicyJson {
  /** Attempts in all, at least 2; more than 5 are 5. */
  readonly maxAttempts: number;
  /** Default "0s": all at once. */
  readonly hedgingDelay?: DurationJson | null;
  readonly nonFatalStatusCodes?: readonly CodeJson[] | null;
}

/** What holds for some methods. At most one of `retryPolicy` and `hedgingPolicy`. */
export interface MethodConfigJson {
  readonly name: readonly MethodNameJson[];
  readonly waitForReady?: boolean | null;
  readonly timeout?: DurationJson | null;
  readonly maxRequestMessageBytes?: number | null;
  readonly maxResponseMessageBytes?: number | null;
  readonly retryPolicy?: RetryPolicyJson | null;
  readonly hedgingPolicy?: HedgingPolicyJson | null;
}

/** gRFC A50. */
export interface OutlierDetectionJson {
  /** Default "10s". */
  readonly interval?: DurationJson | null;
  /** Default "30s". */
  readonly baseEjectionTime?: DurationJson | null;
  /** Default "300s", or the base where that is more. */
  readonly maxEjectionTime?: DurationJson | null;
  /** From 0 to 100, default 10. */
  readonly maxEjectionPercent?: number | null;
  readonly successRateEjection?: {
    /** A thousandth of a standard deviation is 1; default 1900. */
    readonly stdevFactor?: number | null;
    /** From 0 to 100, default 100. */
    readonly enforcementPercentage?: number | null;
    /** Default 5. */
    readonly minimumHosts?: number | null;
    /** Default 100. */
    readonly requestVolume?: number | null;
  } | null;
  readonly failurePercentageEjection?: {
    /** From 0 to 100, default 85. */
    readonly threshold?: number | null;
    /** From 0 to 100, default 100. */
    readonly enforcementPercentage?: number | null;
    /** Default 5. */
    readonly minimumHosts?: number | null;
    /** Default 50. */
    readonly requestVolume?: number | null;
  } | null;
  readonly childPolicy: readonly LoadBalancingJson[];
}

/** One policy: an object with the policy's name as its only field. Names that lictor does not know are skipped. */
export interface LoadBalancingJson {
  readonly round_robin?: object;
  readonly outlier_detection_experimental?: OutlierDetectionJson;
  readonly [policy: string]: unknown;
}

/** A gRPC service config. See docs/service-config.md for what is heeded. */
export interface ServiceConfigJson {
  /** The first policy that lictor knows is used. */
  readonly loadBalancingConfig?: readonly LoadBalancingJson[] | null;
  /** Older, and not looked at beside `loadBalancingConfig`. */
  readonly loadBalancingPolicy?: "round_robin" | (string & {}) | null;
  readonly methodConfig?: readonly MethodConfigJson[] | null;
  readonly retryThrottling?: {
    /** From 1 to 1000. */
    readonly maxTokens: number;
    /** More than 0; three digits after the point count. */
    readonly tokenRatio: number;
  } | null;
  /** gRFC A17. */
  readonly healthCheckConfig?: { readonly serviceName?: string | null } | null;
}
