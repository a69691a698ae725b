//! A server in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deriva::{Params, Recipe};
use deriva_client::{Client, ClientBuilder};
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint};

use super::chance::Chance;

/// More than any of this takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs; it is killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) addr: SocketAddr,
    http: SocketAddr,
    /// What it said after it was ready.
    said: Arc<Mutex<String>>,
}

impl Served {
    /// Begins one in a folder, on a store of a URI, at a free port.
    pub(crate) fn begin(folder: &Path, store: &str, more: &[&str]) -> Self {
        Self::begin_at(folder, store, ([127, 0, 0, 1], 0).into(), more)
            .unwrap_or_else(|said| panic!("the server did not begin: {said}"))
    }

    /// The same at an address; what it says where it cannot.
    pub(crate) fn begin_at(
        folder: &Path,
        store: &str,
        addr: SocketAddr,
        more: &[&str],
    ) -> Result<Self, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_deriva"))
            .current_dir(folder)
            .args(["--store", store, "serve", "--http", "127.0.0.1:0"])
            .args(["--listen", &addr.to_string()])
            .args(more)
            .env_remove("DERIVA_STORE")
            .env_remove("DERIVA_MEMORY")
            .env_remove("DERIVA_SERVER")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready = line.trim().strip_prefix("ready: deriva://");
        let Some((addr, http)) = ready.and_then(|it| it.split_once(", http://")) else {
            lines.read_to_string(&mut line).unwrap();
            child.wait().unwrap();
            return Err(line);
        };
        let (addr, http) = (addr.parse().unwrap(), http.parse().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let telling = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *telling.lock().unwrap() += &(line + "\n");
            }
        });
        Ok(Self {
            child,
            addr,
            http,
            said,
        })
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code, once it has ended; -1 where a signal ended it.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let ended = self.child.try_wait().unwrap();
        ended.map(|status| status.code().unwrap_or(-1))
    }

    /// Whether it has said that, since it was ready.
    pub(crate) fn has_said(&self, what: &str) -> bool {
        self.said.lock().unwrap().contains(what)
    }

    pub(crate) fn uri(&self) -> String {
        format!("deriva://{}", self.addr)
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(&self.uri())
    }

    pub(crate) async fn client(&self) -> Client {
        self.builder().connect().await.unwrap()
    }

    /// A connection for calls as they stand in the protocol, with small windows: who stops to read gets little.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.addr)).unwrap();
        let endpoint = endpoint.initial_stream_window_size(1 << 16);
        let endpoint = endpoint.initial_connection_window_size(1 << 24);
        endpoint.connect().await.unwrap()
    }

    /// What it answers by HTTP.
    pub(crate) fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A number of its metrics, 0 where it is not there; `name` with its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.page("/metrics");
        let of_name = |line: &str| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            value.trim().parse().ok()
        };
        page.lines().find_map(of_name).unwrap_or(0.0)
    }

    /// Its memory from now on is compared with what it is now.
    pub(crate) fn memory(&self) -> Memory {
        let pid = self.child.id();
        // The peak from here on.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Memory {
            pid,
            before: resident(pid, "VmRSS"),
        }
    }

    /// It still runs, and nothing in it has panicked.
    pub(crate) fn runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        let said = self.said.lock().unwrap();
        assert!(ended.is_none(), "it ended, {ended:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }

    /// Another client puts, computes and gets, as if nothing was.
    pub(crate) async fn serves_others(&self, seed: u64) -> Duration {
        let began = Instant::now();
        let bytes = Chance::new(seed).bytes(1_200_000);
        let served = async {
            let builder = self.builder().attempts(100);
            let client = builder.connect().await.unwrap();
            let leaf = client.put(bytes.clone()).await.unwrap();
            let again = Recipe::new(&"bytes.concat/1".parse().unwrap(), &[leaf], &Params::new());
            let again = again.unwrap();
            client.insert(std::slice::from_ref(&again)).await.unwrap();
            let made = client.materialize(again.addr()).bytes().await.unwrap();
            assert!(made == bytes, "others get wrong bytes");
            assert!(client.get(leaf).await.unwrap() == bytes);
        };
        in_time("what another client asks", served).await;
        began.elapsed()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.said.lock().unwrap();
        if !said.is_empty() {
            eprintln!("the server said: {said}");
        }
    }
}

/// What is resident of a server.
pub(crate) struct Memory {
    pid: u32,
    before: u64,
}

impl Memory {
    /// Bytes by which it has grown at the most.
    pub(crate) fn grown(&self) -> u64 {
        resident(self.pid, "VmHWM").saturating_sub(self.before)
    }
}

/// Bytes that the system tells of a process by this name.
fn resident(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() << 10
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Waits until a condition holds; answers how long that took.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

/// What has to come in time.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("in vain for {what}"),
    }
}
