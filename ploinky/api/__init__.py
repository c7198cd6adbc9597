"""The front that serves people and tools: REST over the use cases, under `/management`."""
