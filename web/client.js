// A client of the house for browsers and Node: gRPC-web, a token on every call, one stable reason per
// refusal. Money is BigInt micros of a dollar (1 USD = 1,000,000n), quantities are BigInt shares.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { ExchangeService } from "./gen/stockbroker/exchange/v1/exchange_service_pb.js";
import { PortfolioService } from "./gen/stockbroker/ledger/v1/portfolio_service_pb.js";
import { OrderService } from "./gen/stockbroker/order/v1/order_service_pb.js";

const CALL_TIMEOUT_MS = 10_000;
const NO_TIMEOUT_MS = 0;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const LONGEST_SILENCE_MS = 45_000; // three heartbeats, as the house sends them
const NEVER = new AbortController().signal;
// A stream that ends so was cut off, and goes on where it was.
const CUT_OFF = new Set([Code.Unavailable, Code.Internal, Code.Unknown, Code.Aborted]);
// A call that ends so may have been done: only asking again tells.
const UNHEARD = new Set([Code.Unavailable, Code.DeadlineExceeded]);

/** Whether nobody answered: of a connection refused or broken off fetch says no more than TypeError. */
function isUnheard(error) {
  return UNHEARD.has(ConnectError.from(error).code) || error?.cause instanceof TypeError;
}

/**
 * The house at `address`, for example http://127.0.0.1:7400.
 * @param {{address: string, token: () => string}} door `token` is asked before every call.
 */
export function openHouse({ address, token }) {
  const authorize = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token()}`);
    return next(request);
  };
  const transport = createGrpcWebTransport({
    baseUrl: address,
    interceptors: [authorize],
    defaultTimeoutMs: CALL_TIMEOUT_MS,
  });
  return {
    orders: createClient(OrderService, transport),
    portfolio: createClient(PortfolioService, transport),
    exchange: createClient(ExchangeService, transport),
  };
}

/** The stable reason of a refusal, for example INVALID_QUANTITY; empty when there is none. */
export function reasonOf(error) {
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  return info?.reason ?? "";
}

/** What went wrong in a person's words, after the stable reason where there is one. */
export function wordsOf(error) {
  if (error?.cause instanceof TypeError) {
    const why = error.cause.cause?.message ?? error.cause.message; // browsers tell no cause
    return `the house does not answer (${why})`;
  }
  return [reasonOf(error), ConnectError.from(error).rawMessage].filter(Boolean).join(": ");
}

/** Milliseconds after which a refusal asks to come back; 0 when it does not. */
export function retryAfterMs(error) {
  const [info] = ConnectError.from(error).findDetails(RetryInfoSchema);
  const delay = info?.retryDelay;
  return delay ? Number(delay.seconds) * 1000 + delay.nanos / 1e6 : 0;
}

/**
 * The answer to `call`, which is made again for up to `patienceMs` while the house is not heard, or
 * refuses and says when to come back (OVERLOADED, ORDER_RATE_LIMIT). It must mean the same each time:
 * PlaceTrade does, as the same clientOrderId is the same trade. Throws every other refusal at once.
 */
export async function insist(call, { patienceMs = 30_000, signal = NEVER } = {}) {
  const until = Date.now() + patienceMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      return await call();
    } catch (error) {
      const retryMs = retryAfterMs(error);
      const mayRepeat = retryMs > 0 || isUnheard(error);
      if (!mayRepeat || signal.aborted || Date.now() + retryMs >= until) throw error;
      await pause(Math.max(pauseMs, 2 * retryMs), signal);
      if (signal.aborted) throw error;
    }
  }
}

/**
 * Every event of the caller after `afterSeq`, then live ones, until `signal` is aborted. Connects again
 * when it is cut off, or has heard nothing for `silenceMs`, without gap or repeat. Throws what the
 * house refuses, and what `token` throws.
 */
export async function* watchEvents(
  orders,
  { afterSeq = 0n, signal = NEVER, silenceMs = LONGEST_SILENCE_MS } = {},
) {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    const connection = new AbortController();
    const hangUp = () => connection.abort();
    signal.addEventListener("abort", hangUp);
    let silence = setTimeout(hangUp, silenceMs);
    try {
      // A stream has no deadline: heartbeats tell that it lives.
      const options = { signal: connection.signal, timeoutMs: NO_TIMEOUT_MS };
      for await (const { message } of orders.watchTrades({ afterSeq }, options)) {
        clearTimeout(silence);
        pauseMs = FIRST_PAUSE_MS;
        if (message.case === "event") {
          afterSeq = message.value.seq;
          yield message.value;
        }
        silence = setTimeout(hangUp, silenceMs);
      }
    } catch (error) {
      if (signal.aborted) return;
      const retryMs = retryAfterMs(error);
      const isCutOff = connection.signal.aborted || CUT_OFF.has(error.code);
      if (!retryMs && !isCutOff) throw error;
      pauseMs = Math.max(pauseMs, 2 * retryMs);
    } finally {
      // Whoever stops reading hangs up: leaving the loop alone would keep the stream open.
      clearTimeout(silence);
      signal.removeEventListener("abort", hangUp);
      hangUp();
    }
    await pause(pauseMs, signal);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
}

/** Exact, with at least two decimals: 1000500000n is $1,000.50. */
export function formatDollars(micros) {
  const size = micros < 0n ? -micros : micros;
  const whole = (size / 1_000_000n).toLocaleString("en-US");
  const decimals = (size % 1_000_000n).toString().padStart(6, "0").replace(/0{1,4}$/, "");
  return `${micros < 0n ? "-" : ""}$${whole}.${decimals}`;
}

/** Waits a random part of `ms`, so that clients that were cut off together do not return together. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms * (0.5 + Math.random() / 2));
    signal.addEventListener("abort", end);
  });
}
