//! The load client of `make bench`: one thread, one scenario, one line of JSON.
//!
//! ```text
//! load SCENARIO ADDRESS [--OPTION VALUE]...
//!   requests   closed loop: --connections, --streams (of each), --path; with --distinct 1 no two requests are the same
//!   bulk       one response after the other: --path
//!   upload     one POST after the other: --path, --size
//!   connects   new connection, one request, close: --streams (at once), --path
//!   pages      a page and --count resources: --connections, --path; pushed with --push 1, else requested at --resource
//!   idle       open --connections with one request each, print, wait for a line on standard input
//! every one: --seconds, --warm, --pid (the server's, whose CPU time is read at both ends of the measured span)
//! ```

mod http3;

use std::{
    collections::HashMap,
    env, fs,
    io::Write,
    net::SocketAddr,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http3::{Client, Failure, H3_NO_ERROR, request_head};
use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Handshakes that are under way at once while connections are opened.
const OPENING: usize = 16;
/// Connections that wait for the others to be opened must not end meanwhile.
const IDLE: Duration = Duration::from_secs(300);
/// One write of an upload.
const PIECE: usize = 1 << 20;

struct Options {
    address: SocketAddr,
    named: HashMap<String, String>,
}

impl Options {
    fn text(&self, name: &str, default: &str) -> String {
        self.named.get(name).map_or_else(|| default.to_owned(), Clone::clone)
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, Failure> {
        Ok(self.named.get(name).map_or(Ok(default), |text| text.parse())?)
    }

    fn duration(&self, name: &str, default: f64) -> Result<Duration, Failure> {
        let seconds = self.named.get(name).map_or(Ok(default), |text| text.parse())?;
        Ok(Duration::from_secs_f64(seconds))
    }

    fn head(&self) -> Bytes {
        request_head(&format!("localhost:{}", self.address.port()), &self.text("path", "/1k"), None)
    }
}

/// What was done in the measured span.
#[derive(Default)]
struct Count {
    counting: AtomicBool,
    stop: AtomicBool,
    operations: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    microseconds: Mutex<Vec<u32>>,
    failure: Mutex<Option<String>>,
}

impl Count {
    fn note(&self, result: Result<u64, Failure>, begun: Instant) -> bool {
        match result {
            Ok(bytes) => {
                if self.counting.load(Ordering::Relaxed) {
                    self.operations.fetch_add(1, Ordering::Relaxed);
                    self.bytes.fetch_add(bytes, Ordering::Relaxed);
                    self.microseconds.lock().unwrap().push(begun.elapsed().as_micros() as u32);
                }
                true
            }
            Err(error) => {
                if !self.stop.load(Ordering::Relaxed) {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                    self.failure.lock().unwrap().get_or_insert(error.to_string());
                }
                false
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// CPU time of a process in nanoseconds, all of its threads that live.
fn cpu_time(pid: u64) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// A span of time, and what server and client worked in it.
struct Span {
    begun: Instant,
    server_pid: u64,
    server: u64,
    client: u64,
}

impl Span {
    fn begin(server_pid: u64) -> Self {
        let client = cpu_time(process::id().into());
        Self { begun: Instant::now(), server_pid, server: cpu_time(server_pid), client }
    }

    fn print(&self, count: &Count) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let server = cpu_time(self.server_pid) - self.server;
        let client = cpu_time(process::id().into()) - self.client;
        let mut microseconds = std::mem::take(&mut *count.microseconds.lock().unwrap());
        microseconds.sort_unstable();
        let quantile = |share: f64| {
            microseconds
                .get((microseconds.len() as f64 * share) as usize)
                .map_or_else(|| "null".to_owned(), u32::to_string)
        };
        println!(
            "{{\"operations\": {}, \"bytes\": {}, \"errors\": {}, \"seconds\": {seconds:.6}, \"server_cpu\": {:.6}, \
             \"client_cpu\": {:.6}, \"p50\": {}, \"p99\": {}, \"failure\": {:?}}}",
            count.operations.load(Ordering::Relaxed),
            count.bytes.load(Ordering::Relaxed),
            count.errors.load(Ordering::Relaxed),
            server as f64 / 1e9,
            client as f64 / 1e9,
            quantile(0.5),
            quantile(0.99),
            count.failure.lock().unwrap().take().unwrap_or_default(),
        );
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let (Some(scenario), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: load SCENARIO ADDRESS [--OPTION VALUE]...".into());
    };
    let mut options = Options { address: address.parse()?, named: HashMap::new() };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or("every option has a value")?;
        options.named.insert(name.trim_start_matches("--").to_owned(), value);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&scenario, Arc::new(options)))
}

async fn run(scenario: &str, options: Arc<Options>) -> Result<(), Failure> {
    let endpoint = endpoint()?;
    let done = match scenario {
        "requests" => requests(&endpoint, &options).await,
        "bulk" => bulk(&endpoint, &options).await,
        "upload" => upload(&endpoint, &options).await,
        "connects" => connects(&endpoint, options).await,
        "pages" => pages(&endpoint, options).await,
        "idle" => idle(&endpoint, &options).await,
        _ => Err(format!("no scenario is called {scenario:?}").into()),
    };
    endpoint.close(H3_NO_ERROR.into(), b"");
    let _ = timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
    done
}

/// A client endpoint that neither verifies certificates nor resumes sessions.
fn endpoint() -> Result<Endpoint, Failure> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_uni_streams(1024u32.into());
    transport.max_idle_timeout(Some(IDLE.try_into()?));
    config.transport_config(Arc::new(transport));
    let socket = h3push_bench::udp_socket(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut endpoint = Endpoint::new(quinn::EndpointConfig::default(), None, socket, Arc::new(quinn::TokioRuntime))?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// Open connections, some at a time, and make one request on each.
async fn open(endpoint: &Endpoint, options: &Options, count: u64, push: bool) -> Result<Vec<Client>, Failure> {
    let head = options.head();
    let mut opening = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..count {
        if opening.len() >= OPENING {
            clients.push(opening.join_next().await.ok_or("no handshake")???);
        }
        let (endpoint, address, head) = (endpoint.clone(), options.address, head.clone());
        opening.spawn(async move {
            let client = match Client::connect(&endpoint, address, push).await {
                // nginx refuses one in some ten thousand for its transport parameters, some of which quinn draws at random.
                Err(_) => Client::connect(&endpoint, address, push).await?,
                client => client?,
            };
            if !push {
                client.get(&head, None).await?;
            }
            Ok::<_, Failure>(client)
        });
    }
    while let Some(client) = opening.join_next().await {
        clients.push(client??);
    }
    Ok(clients)
}

/// Let the workers run in, then measure.
async fn measure(options: &Options, count: &Count) -> Result<(), Failure> {
    sleep(options.duration("warm", 0.5)?).await;
    let span = Span::begin(options.number("pid", process::id().into())?);
    count.counting.store(true, Ordering::Relaxed);
    sleep(options.duration("seconds", 2.0)?).await;
    count.counting.store(false, Ordering::Relaxed);
    span.print(count);
    count.stop.store(true, Ordering::Relaxed);
    Ok(())
}

async fn requests(endpoint: &Endpoint, options: &Options) -> Result<(), Failure> {
    let count = Arc::new(Count::default());
    let head = options.head();
    let distinct = options.number("distinct", 0)? == 1;
    let authority = format!("localhost:{}", options.address.port());
    let path = options.text("path", "/1k");
    let sent = Arc::new(AtomicU64::new(0));
    for client in open(endpoint, options, options.number("connections", 1)?, false).await? {
        for _ in 0..options.number("streams", 1)? {
            let (client, count, mut head) = (client.clone(), count.clone(), head.clone());
            let (authority, path, sent) = (authority.clone(), path.clone(), sent.clone());
            tokio::spawn(async move {
                while count.goes_on() {
                    if distinct {
                        let number = sent.fetch_add(1, Ordering::Relaxed);
                        head = request_head(&authority, &format!("{path}?n={number}"), None);
                    }
                    let begun = Instant::now();
                    if !count.note(client.get(&head, None).await, begun) {
                        break;
                    }
                }
            });
        }
    }
    measure(options, &count).await
}

/// Whole responses, one after the other; a response that takes longer than `--cap` seconds counts as far as it came.
async fn bulk(endpoint: &Endpoint, options: &Options) -> Result<(), Failure> {
    let (enough, cap) = (options.duration("seconds", 1.0)?, options.duration("cap", 5.0)?);
    let (client, head) = (Client::connect(endpoint, options.address, false).await?, options.head());
    let count = Arc::new(Count::default());
    count.counting.store(true, Ordering::Relaxed);
    let stop = Arc::new(AtomicBool::new(false));
    let span = Span::begin(options.number("pid", process::id().into())?);
    let alarm = tokio::spawn({
        let stop = stop.clone();
        async move {
            sleep(cap).await;
            stop.store(true, Ordering::Relaxed);
        }
    });
    while span.begun.elapsed() < enough && !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        if !count.note(client.get(&head, Some(&stop)).await, begun) {
            break;
        }
    }
    span.print(&count);
    alarm.abort();
    Ok(())
}

async fn upload(endpoint: &Endpoint, options: &Options) -> Result<(), Failure> {
    let (enough, size) = (options.duration("seconds", 1.0)?, options.number("size", 20_000_000)?);
    let client = Client::connect(endpoint, options.address, false).await?;
    let authority = format!("localhost:{}", options.address.port());
    let head = request_head(&authority, &options.text("path", "/upload"), Some(size as usize));
    let piece = Bytes::from(vec![b'u'; PIECE]);
    let count = Count::default();
    count.counting.store(true, Ordering::Relaxed);
    let span = Span::begin(options.number("pid", process::id().into())?);
    while span.begun.elapsed() < enough {
        let begun = Instant::now();
        let sent = client.post(&head, &piece, size as usize).await;
        if !count.note(sent.map(|_| size), begun) {
            break;
        }
    }
    span.print(&count);
    Ok(())
}

async fn connects(endpoint: &Endpoint, options: Arc<Options>) -> Result<(), Failure> {
    let count = Arc::new(Count::default());
    let head = options.head();
    for _ in 0..options.number("streams", 16)? {
        let (endpoint, count, head, address) = (endpoint.clone(), count.clone(), head.clone(), options.address);
        tokio::spawn(async move {
            while count.goes_on() {
                let begun = Instant::now();
                let result = connect_once(&endpoint, address, &head).await;
                count.note(result, begun);
            }
        });
    }
    measure(&options, &count).await
}

async fn connect_once(endpoint: &Endpoint, address: SocketAddr, head: &Bytes) -> Result<u64, Failure> {
    let client = Client::connect(endpoint, address, false).await?;
    let received = client.get(head, None).await;
    client.close();
    received
}

async fn pages(endpoint: &Endpoint, options: Arc<Options>) -> Result<(), Failure> {
    let count = Arc::new(Count::default());
    let push = options.number("push", 0)? == 1;
    let resources = u32::try_from(options.number("count", 20)?)?;
    let head = options.head();
    let authority = format!("localhost:{}", options.address.port());
    let resource = request_head(&authority, &options.text("resource", "/1k"), None);
    for client in open(endpoint, &options, options.number("connections", 4)?, push).await? {
        let (count, head, resource) = (count.clone(), head.clone(), resource.clone());
        tokio::spawn(async move {
            while count.goes_on() {
                let begun = Instant::now();
                let result = if push {
                    client.get_with_pushes(&head, resources).await
                } else {
                    get_with_resources(&client, &head, &resource, resources).await
                };
                if !count.note(result, begun) {
                    break;
                }
            }
        });
    }
    measure(&options, &count).await
}

/// GET a page, then all of its resources at once, as a client does that gets no pushes; the bytes of the resources.
async fn get_with_resources(client: &Client, head: &Bytes, resource: &Bytes, count: u32) -> Result<u64, Failure> {
    client.get(head, None).await?;
    let mut loading = JoinSet::new();
    for _ in 0..count {
        let (client, resource) = (client.clone(), resource.clone());
        loading.spawn(async move { client.get(&resource, None).await });
    }
    let mut bytes = 0;
    while let Some(loaded) = loading.join_next().await {
        bytes += loaded??;
    }
    Ok(bytes)
}

async fn idle(endpoint: &Endpoint, options: &Options) -> Result<(), Failure> {
    let limit = options.duration("cap", 60.0)?;
    let wanted = options.number("connections", 2000)?;
    let clients = timeout(limit, open(endpoint, options, wanted, false)).await??;
    if let Some(reason) = clients.iter().find_map(Client::close_reason) {
        return Err(format!("a connection ended before all were open: {reason}").into());
    }
    println!("{{\"connections\": {}}}", clients.len());
    std::io::stdout().flush()?;
    BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await?;
    Ok(())
}

/// The peers make up their certificates; this client is for measuring.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
