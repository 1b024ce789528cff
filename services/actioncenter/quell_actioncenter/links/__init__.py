"""How executors are reached: the client's side of `ExecutorService.Work`."""
