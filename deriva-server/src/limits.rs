//! What callers may ask for, each with a sound default.

use std::time::Duration;

use deriva::{Error, ErrorKind, Result};

/// What callers may ask for at once and in all. Whoever asks for more is told at once, and nothing waits for ever.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a message that is received, 64 KiB to 1 GiB. Default: 16 MiB.
    pub message_bytes: usize,
    /// Addresses or recipes in one call, 1 or more. Default: 65,536.
    pub batch: usize,
    /// Bytes of the params of a recipe, as they stand in its canonical form. Default: 2 MiB, which is the most.
    pub params_bytes: usize,
    /// Edges below an address that a walk may go. Default: 1,000,000.
    pub depth: u32,
    /// Nodes that a walk lists. Default: 1,000,000.
    pub nodes: u32,
    /// Calls at once, 1 or more. Default: 4,096.
    pub requests: usize,
    /// Calls at once on one connection, 1 or more. Default: 1,024.
    pub requests_per_connection: u32,
    /// Connections, 1 or more. Default: 1,024.
    pub connections: usize,
    /// Bytes of blobs that are in memory on their way in or out, over all calls, 1 MiB or more: an eighth of them for those on their way
    /// out. A reader that is slow has a small piece of its blob here, and what arrives finds room or is refused. Default: 128 MiB.
    pub bytes_in_flight: usize,
    /// Bytes of all blobs that are stored: what would exceed it is refused. Default: no quota.
    pub stored_bytes: Option<u64>,
    /// Requests for [pages](crate::Server::page) at once, 1 or more. Default: 16.
    pub pages: usize,
    /// How long a page may take. Default: 10 s.
    pub page_timeout: Duration,
    /// How long a connection may take to begin: the handshake of TLS and the first request. Default: 10 s.
    pub header_timeout: Duration,
    /// How long a connection may say nothing before it is asked whether it is still there. Default: 30 s.
    pub keepalive: Duration,
    /// How long it may take to answer that. Default: 20 s.
    pub keepalive_timeout: Duration,
    /// How long a message may stand still of which a part has come, before its call is given up; and how long blobs of a `Put` that are small
    /// wait in memory for what comes next, before they are written. Default: 10 s.
    pub stall_timeout: Duration,
    /// How long a connection may have no call. Default: 10 min.
    pub idle_timeout: Duration,
    /// How long calls that are under way have to end after the service was asked to stop. Default: 30 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            batch: 1 << 16,
            params_bytes: 2 << 20,
            depth: 1_000_000,
            nodes: 1_000_000,
            requests: 4096,
            requests_per_connection: 1024,
            connections: 1024,
            bytes_in_flight: 128 << 20,
            stored_bytes: None,
            pages: 16,
            page_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(600),
            drain: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Whether each is within its range, as [`Server::bind`](crate::Server::bind) asks.
    ///
    /// # Errors
    /// `Invalid` for what is not.
    pub fn check(&self) -> Result<()> {
        let ranges = [
            ("message_bytes", self.message_bytes, 1 << 16, 1 << 30),
            ("batch", self.batch, 1, 1 << 24),
            ("params_bytes", self.params_bytes, 1, 2 << 20),
            ("nodes", self.nodes as usize, 1, u32::MAX as usize),
            ("requests", self.requests, 1, 1 << 20),
            (
                "requests_per_connection",
                self.requests_per_connection as usize,
                1,
                1 << 20,
            ),
            ("connections", self.connections, 1, 1 << 20),
            ("bytes_in_flight", self.bytes_in_flight, 1 << 20, 1 << 40),
            ("pages", self.pages, 1, 1 << 20),
        ];
        for (name, found, least, most) in ranges {
            if !(least..=most).contains(&found) {
                let what = format!("a number from {least} to {most} was expected");
                let error = Error::new(ErrorKind::Invalid, what);
                return Err(error.with("limit", name).with("found", found));
            }
        }
        let times = [
            ("header_timeout", self.header_timeout),
            ("keepalive", self.keepalive),
            ("keepalive_timeout", self.keepalive_timeout),
            ("stall_timeout", self.stall_timeout),
            ("idle_timeout", self.idle_timeout),
            ("page_timeout", self.page_timeout),
        ];
        for (name, found) in times {
            if found.is_zero() {
                let what = "a time longer than zero was expected";
                return Err(Error::new(ErrorKind::Invalid, what).with("limit", name));
            }
        }
        Ok(())
    }
}
