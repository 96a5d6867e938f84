//! A native HTTP/3 server, quinn + hyperium's h3, on one thread: what h3push is measured against as the near limit.
//!
//! `native PORT CERTIFICATE KEY` answers `/1k`, `/hello`, `/bulk` (200 MB) and `/upload`.

use std::{env, error::Error, fs, net::SocketAddr, sync::Arc};

use bytes::{Buf, Bytes};
use h3::server::RequestResolver;
use http::{Response, StatusCode};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

type Failure = Box<dyn Error + Send + Sync>;

/// Bytes of `/bulk`, as in every other server of the benchmark.
const BULK: usize = 200_000_000;
/// One DATA frame of `/bulk`.
const PIECE: usize = 1 << 20;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().collect();
    let [_, port, certificate, key] = arguments.as_slice() else {
        return Err("usage: native PORT CERTIFICATE KEY".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(port.parse()?, certificate, key))
}

async fn serve(port: u16, certificate: &str, key: &str) -> Result<(), Failure> {
    let chain = CertificateDer::pem_slice_iter(&fs::read(certificate)?).collect::<Result<Vec<_>, _>>()?;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&fs::read(key)?)?)?;
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_bidi_streams(100u32.into());
    config.transport_config(Arc::new(transport));
    let socket = h3push_bench::udp_socket(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let endpoint =
        quinn::Endpoint::new(quinn::EndpointConfig::default(), Some(config), socket, Arc::new(quinn::TokioRuntime))?;
    let content = Bytes::from(vec![b'x'; PIECE]);
    println!("ready");
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(connection(incoming, content.clone()));
    }
    Ok(())
}

/// Answer the requests of one connection, each in a task of its own, as h3's example server does.
async fn connection(incoming: quinn::Incoming, content: Bytes) -> Result<(), Failure> {
    let mut connection = h3::server::Connection::new(h3_quinn::Connection::new(incoming.await?)).await?;
    while let Some(resolver) = connection.accept().await? {
        tokio::spawn(request(resolver, content.clone()));
    }
    Ok(())
}

async fn request(resolver: RequestResolver<h3_quinn::Connection, Bytes>, content: Bytes) -> Result<(), Failure> {
    let (request, mut stream) = resolver.resolve_request().await?;
    let length = match request.uri().path() {
        "/1k" => 1024,
        "/hello" => 13,
        "/bulk" => BULK,
        "/upload" => {
            let mut received = 0;
            while let Some(data) = stream.recv_data().await? {
                received += data.remaining();
            }
            let text = Bytes::from(received.to_string());
            let response = Response::builder().header("content-length", text.len()).body(())?;
            stream.send_response(response).await?;
            stream.send_data(text).await?;
            return Ok(stream.finish().await?);
        }
        _ => {
            stream.send_response(Response::builder().status(StatusCode::NOT_FOUND).body(())?).await?;
            return Ok(stream.finish().await?);
        }
    };
    let response = Response::builder().header("content-type", "text/plain").header("content-length", length).body(())?;
    stream.send_response(response).await?;
    let mut left = length;
    while left > 0 {
        let size = left.min(PIECE);
        stream.send_data(content.slice(..size)).await?;
        left -= size;
    }
    Ok(stream.finish().await?)
}
