// Places a market order and tells what becomes of it.
//
//   STOCKBROKER_TOKEN=$(.venv/bin/stockbroker token alice) node web/example.js AAPL BUY 10

import { formatDollars, insist, openHouse, watchEvents, wordsOf } from "./client.js";
import { Reason } from "./gen/stockbroker/common/v1/reason_pb.js";
import { OrderType, Side } from "./gen/stockbroker/common/v1/terms_pb.js";
import { TradeEventKind, TradeStatus } from "./gen/stockbroker/order/v1/order_pb.js";

const { STOCKBROKER_ADDRESS = "http://127.0.0.1:7400", STOCKBROKER_TOKEN = "" } = process.env;
const [symbol = "AAPL", side = "BUY", quantity = "1"] = process.argv.slice(2);
const ENDED = [
  TradeStatus.FILLED,
  TradeStatus.CANCELED,
  TradeStatus.REJECTED,
  TradeStatus.EXPIRED,
];

const { orders } = openHouse({ address: STOCKBROKER_ADDRESS, token: () => STOCKBROKER_TOKEN });
try {
  const terms = {
    clientOrderId: crypto.randomUUID(),
    symbol,
    side: Side[side],
    quantity: BigInt(quantity),
    orderType: OrderType.MARKET,
  };
  const { trade } = await insist(() => orders.placeTrade(terms), { patienceMs: 5_000 });
  for await (const event of watchEvents(orders, { afterSeq: trade.seq - 1n })) {
    if (event.trade.tradeId !== trade.tradeId) continue;
    const { kind, execution } = event;
    const { status, reason } = event.trade;
    const fill = execution && ` ${execution.quantity} at ${formatDollars(execution.priceMicros)}`;
    console.log(`${TradeEventKind[kind]}${fill ?? ""} -> ${TradeStatus[status]}`);
    if (reason) console.log(`because of ${Reason[reason]}: ${event.trade.reasonText}`);
    if (ENDED.includes(status)) break;
  }
} catch (error) {
  console.error(`${STOCKBROKER_ADDRESS}: ${wordsOf(error)}`);
  process.exitCode = 1;
}
