//! The whole core: what must be durable before what.
