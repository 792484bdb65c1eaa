"""A server beside the worker that is attacked first: the delays of the worker's callers then come from the machine.

PYTHONPATH=tests python -m hostile.decoy <port>
"""

import asyncio
import sys

import grpc

ANSWER = bytes(4096)


class Anything(grpc.GenericRpcHandler):
    """Answers every method once the request has arrived."""

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, _request: bytes, _context: object) -> bytes:
        return ANSWER


async def main(port: int) -> None:
    """Serve until killed."""
    server = grpc.aio.server(handlers=[Anything()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("serves", flush=True)  # noqa: T201 - the parent process waits for it
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
