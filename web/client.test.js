// What the client promises, against a house that runs: STOCKBROKER_ADDRESS, and the tokens of a customer
// with cash (STOCKBROKER_TOKEN) and of another (STOCKBROKER_OTHER_TOKEN). tests/clients runs it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { formatDollars, insist, openHouse, reasonOf, watchEvents, wordsOf } from "./client.js";
import { BadRequestSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { Side } from "./gen/stockbroker/common/v1/terms_pb.js";
import { LedgerService } from "./gen/stockbroker/ledger/v1/ledger_service_pb.js";
import { TradeEventKind, TradeStatus } from "./gen/stockbroker/order/v1/order_pb.js";

const { STOCKBROKER_ADDRESS: address, STOCKBROKER_TOKEN, STOCKBROKER_OTHER_TOKEN } = process.env;
const house = openHouse({ address, token: () => STOCKBROKER_TOKEN });
const other = openHouse({ address, token: () => STOCKBROKER_OTHER_TOKEN });
const example = fileURLToPath(new URL("example.js", import.meta.url));
const SECONDS = 1000;

const terms = (changes = {}) => ({
  clientOrderId: crypto.randomUUID(),
  symbol: "AAPL",
  side: Side.BUY,
  quantity: 2n,
  ...changes,
});

/** A refusal that says when to come back. */
function busy() {
  return new ConnectError("busy", Code.ResourceExhausted, undefined, [
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 0n, nanos: 20_000_000 } } },
  ]);
}

async function refusalOf(call) {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  return assert.fail("it was not refused");
}

test("a placed trade is watched to its last fill, and the shares are there", async () => {
  const { trade } = await house.orders.placeTrade(terms());
  assert.equal(trade.status, TradeStatus.PLACED);
  const kinds = [];
  let last;
  const signal = AbortSignal.timeout(30 * SECONDS);
  for await (const event of watchEvents(house.orders, { afterSeq: trade.seq - 1n, signal })) {
    if (event.trade.tradeId !== trade.tradeId) continue;
    kinds.push(event.kind);
    last = event.trade;
    if (last.status === TradeStatus.FILLED) break;
  }
  assert.deepEqual(kinds.slice(0, 2), [TradeEventKind.PLACED, TradeEventKind.STARTED]);
  assert.equal(last.filledQuantity, 2n);
  const { positions, cash } = await house.portfolio.getPortfolio({});
  const owned = positions.find((position) => position.symbol === "AAPL");
  assert.ok(owned.quantity >= 2n);
  assert.equal(cash.availableMicros + cash.heldMicros, cash.totalMicros);
});

test("a refusal names its reason and the field at fault", async () => {
  const error = await refusalOf(house.orders.placeTrade(terms({ quantity: 0n })));
  assert.equal(error.code, Code.InvalidArgument);
  assert.equal(reasonOf(error), "INVALID_QUANTITY");
  const [badRequest] = error.findDetails(BadRequestSchema);
  assert.equal(badRequest.fieldViolations[0].field, "quantity");
});

test("the same client order id gives the same trade, and with other terms a refusal", async () => {
  const placed = terms();
  const first = await house.orders.placeTrade(placed);
  const again = await house.orders.placeTrade(placed);
  assert.equal(again.trade.tradeId, first.trade.tradeId);
  const error = await refusalOf(house.orders.placeTrade({ ...placed, quantity: 3n }));
  assert.equal(error.code, Code.AlreadyExists);
  assert.equal(reasonOf(error), "CLIENT_ORDER_ID_REUSED");
});

test("nobody gets in without a token", async () => {
  const transport = createGrpcWebTransport({ baseUrl: address });
  const anonymous = openHouse({ address, token: () => "none" });
  const error = await refusalOf(anonymous.orders.listTrades({}));
  assert.equal(error.code, Code.Unauthenticated);
  assert.equal(reasonOf(error), "UNAUTHENTICATED");
  const ledger = createClient(LedgerService, transport);
  await refusalOf(ledger.deposit({ customerId: "eve", amountMicros: 1n }));
});

test("another customer's trade is not found", async () => {
  const { trade } = await house.orders.placeTrade(terms());
  const id = { case: "tradeId", value: trade.tradeId };
  const error = await refusalOf(other.orders.getTrade({ id }));
  assert.equal(error.code, Code.NotFound);
  assert.equal(reasonOf(error), "TRADE_NOT_FOUND");
  assert.equal((await house.orders.getTrade({ id })).trade.tradeId, trade.tradeId);
});

test("a stream that never ends is ended by its signal", { timeout: 30 * SECONDS }, async () => {
  const ending = new AbortController();
  const stream = other.orders.watchTrades({}, { signal: ending.signal, timeoutMs: 0 });
  const kinds = new Set();
  const error = await refusalOf(
    (async () => {
      for await (const { message } of stream) {
        kinds.add(message.case);
        ending.abort();
      }
    })(),
  );
  assert.equal(error.code, Code.Canceled);
  assert.ok(kinds.size > 0);
});

test("a watch that is cut off goes on without gap or repeat", { timeout: 10 * SECONDS }, async () => {
  const asked = [];
  const orders = {
    async *watchTrades({ afterSeq }) {
      asked.push(afterSeq);
      yield { message: { case: "heartbeat", value: { headSeq: 3n } } };
      yield { message: { case: "event", value: { seq: afterSeq + 1n } } };
      throw new ConnectError("cut off", afterSeq === 2n ? Code.PermissionDenied : Code.Unavailable);
    },
  };
  const seqs = [];
  const error = await refusalOf(
    (async () => {
      for await (const { seq } of watchEvents(orders)) seqs.push(seq);
    })(),
  );
  assert.deepEqual([asked, seqs], [[0n, 1n, 2n], [1n, 2n, 3n]]);
  assert.equal(error.code, Code.PermissionDenied, "a refusal is not a cut-off");
});

test("a watch without a token ends and says why", { timeout: 10 * SECONDS }, async () => {
  const signedOut = openHouse({ address, token: () => assert.fail("signed out") });
  const watch = watchEvents(signedOut.orders);
  await assert.rejects(watch.next(), { message: "signed out" });
});

test("a watch that is told to come back does so", { timeout: 10 * SECONDS }, async () => {
  const asked = [];
  const orders = {
    async *watchTrades({ afterSeq }) {
      asked.push(afterSeq);
      if (asked.length === 1) throw busy();
      yield { message: { case: "event", value: { seq: afterSeq + 1n } } };
    },
  };
  for await (const { seq } of watchEvents(orders, { afterSeq: 6n })) {
    assert.equal(seq, 7n);
    break;
  }
  assert.deepEqual(asked, [6n, 6n]);
});

test("a watch that falls silent is hung up on and goes on", { timeout: 10 * SECONDS }, async () => {
  const ending = new AbortController();
  const open = new Set();
  let asked = 0;
  const mute = createServer((request, response) => {
    open.add(request);
    response.on("close", () => open.delete(request));
    response.writeHead(200, { "content-type": "application/grpc-web+proto" });
    response.write(Buffer.alloc(5)); // a message that says nothing
    asked += 1;
    if (asked === 3) setTimeout(() => ending.abort(), 10);
  });
  await new Promise((resolve) => mute.unref().listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${mute.address().port}`;
  const { orders } = openHouse({ address, token: () => "none" });
  const options = { signal: ending.signal, silenceMs: 100 };
  for await (const event of watchEvents(orders, options)) assert.fail(`heard ${event.seq}`);
  while (open.size) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked, 3);
});

test("a call that is given up in a pause is not made again", { timeout: 10 * SECONDS }, async () => {
  const ending = new AbortController();
  let calls = 0;
  const call = async () => {
    calls += 1;
    setTimeout(() => ending.abort());
    throw new ConnectError("away", Code.Unavailable);
  };
  const error = await refusalOf(insist(call, { signal: ending.signal }));
  assert.deepEqual([calls, error.code], [1, Code.Unavailable]);
});

test("a call that is safe to repeat is repeated until it is answered", async () => {
  const answers = [new ConnectError("away", Code.Unavailable), busy(), "placed"];
  const call = async () => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  assert.equal(await insist(call), "placed");
  const placed = terms();
  const first = await insist(() => house.orders.placeTrade(placed));
  const again = await insist(() => house.orders.placeTrade(placed));
  assert.equal(again.trade.tradeId, first.trade.tradeId);
});

test("a call is repeated while nobody listens, and when the connection breaks", async () => {
  const breaking = createServer((request) => request.socket.destroy());
  const nobody = createServer();
  for (const server of [breaking, nobody]) {
    await new Promise((resolve) => server.unref().listen(0, "127.0.0.1", resolve));
  }
  const away = [breaking, nobody].map((server) =>
    openHouse({ address: `http://127.0.0.1:${server.address().port}`, token: () => "none" }),
  );
  nobody.close();
  const doors = [...away, house];
  const placed = terms();
  const { trade } = await insist(() => doors.shift().orders.placeTrade(placed));
  assert.deepEqual([doors, trade.clientOrderId], [[], placed.clientOrderId]);
});

test("what went wrong is told in words", async () => {
  const refusal = await refusalOf(house.orders.placeTrade(terms({ quantity: 0n })));
  assert.equal(wordsOf(refusal), "INVALID_QUANTITY: quantity must be 1 to 10000000");
  const nobody = openHouse({ address: "http://127.0.0.1:1", token: () => "none" });
  const silence = await refusalOf(nobody.orders.listTrades({}));
  assert.match(wordsOf(silence), /^the house does not answer \(.+\)$/);
  assert.equal(wordsOf(new TypeError("no number")), "no number");
});

test("what is refused for good is not repeated, nor anything for ever", async () => {
  let calls = 0;
  const refused = (code) =>
    insist(
      async () => {
        calls += 1;
        throw new ConnectError("no", code);
      },
      { patienceMs: 0 },
    );
  assert.equal((await refusalOf(refused(Code.InvalidArgument))).code, Code.InvalidArgument);
  assert.equal((await refusalOf(refused(Code.Unavailable))).code, Code.Unavailable);
  const quota = new ConnectError("too many", Code.ResourceExhausted);
  assert.equal((await refusalOf(insist(() => Promise.reject(quota)))).code, quota.code);
  assert.equal(calls, 2);
});

test("quotes are read by any customer", async () => {
  const { quotes } = await house.exchange.listQuotes({ symbols: ["AAPL"] });
  assert.equal(quotes[0].symbol, "AAPL");
});

test("dollars are printed to the micro", () => {
  assert.equal(formatDollars(1_000_500_000n), "$1,000.50");
  assert.equal(formatDollars(-1n), "-$0.000001");
  assert.equal(formatDollars(9_007_199_254_740_992n), "$9,007,199,254.740992");
});

test("the example tells a trade to its end", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [example, "AAPL", "BUY", "1"], {
    timeout: 30 * SECONDS,
  });
  assert.equal(status, 0, String(stderr));
  const lines = String(stdout).trim().split("\n");
  assert.equal(lines[0], "PLACED -> PLACED");
  assert.match(lines.at(-1), /^EXECUTED 1 at \$[\d,.]+ -> FILLED$/);
});

test("the example says that nobody is there", () => {
  const { status, stderr } = spawnSync(process.execPath, [example], {
    env: { ...process.env, STOCKBROKER_ADDRESS: "http://127.0.0.1:19" },
    timeout: 30 * SECONDS,
  });
  assert.equal(status, 1);
  assert.match(String(stderr), /^http:\/\/127.0.0.1:19: the house does not answer \(.+\)\n$/);
});
