//! An HTTP/1.1 server: hyper on our streams, without an adapter in between.
//!
//! ```text
//! cargo run --release --example http [ADDR] [PORT]      (127.0.0.1 8000)
//! curl -i http://127.0.0.1:8000/
//! curl -i http://127.0.0.1:8000/hello/Ada
//! curl -i http://127.0.0.1:8000/echo -d 'say it again'
//! wrk -t1 -c64 -d5 http://127.0.0.1:8000/
//! ```

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use runtime::net::TcpStream;
use runtime_examples::{exit_with_usage, listen_address, listen_or_exit};

const USAGE: &str = "usage: http [ADDR] [PORT]      (default: 127.0.0.1 8000)";

/// The longest request body that `/echo` accepts, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

#[runtime::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr = listen_address(&mut args, 8000).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    let listener = listen_or_exit(addr).await;
    println!(
        "http: listening on http://{}/",
        listener.local_addr().expect("it is bound")
    );

    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(runtime::spawn(serve(stream))),
            Err(error) => {
                eprintln!("http: cannot accept: {error}");
                runtime::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers the requests of one connection, in order, until either side closes it.
async fn serve(stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("http: {error}");
    }
    let connection = http1::Builder::new().serve_connection(stream, service_fn(answer));
    if let Err(error) = connection.await {
        eprintln!("http: {error}");
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    Ok(match (request.method(), path) {
        (&Method::GET, "/") => text(StatusCode::OK, "Hello, world!\n"),
        (&Method::GET, _) if path.starts_with("/hello/") => {
            let name = path.trim_start_matches("/hello/");
            text(StatusCode::OK, format!("Hello, {name}!\n"))
        }
        (&Method::POST, "/echo") => match Limited::new(request.into_body(), BODY_LIMIT)
            .collect()
            .await
        {
            Ok(body) => text(StatusCode::OK, body.to_bytes()),
            Err(_) => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("at most {BODY_LIMIT} bytes, please\n"),
            ),
        },
        (_, "/" | "/echo") => text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n"),
        _ => text(StatusCode::NOT_FOUND, "there is nothing here\n"),
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
