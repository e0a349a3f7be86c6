//! The HTTP side: three files that are the page, and the way into a WebSocket.
//!
//! One task serves one connection, first as HTTP and, if the browser asks for it, from then on as
//! a WebSocket: hyper hands our own `TcpStream` back, so nothing lies between it and the frames.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use runtime::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::Hub;
use crate::client;

/// How long a connection may take to send a request's head, or do nothing between requests.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// The page loads nothing from anywhere else, and runs no script but its own file: even if some
/// text slipped in as HTML, it could do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves one connection until it ends.
pub async fn serve(stream: TcpStream, hub: Arc<Hub>) {
    // Chat lines are short, and each should leave at once. Failing means that it is closed.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    // Filled by the service when a request turns the connection into a WebSocket.
    let upgrade = Arc::new(OnceLock::new());
    let service = service_fn({
        let upgrade = upgrade.clone();
        move |request| {
            let response = answer(request, &upgrade);
            async { Ok::<_, Infallible>(response) }
        }
    });
    let connection = http1::Builder::new()
        .timer(runtime::hyper::Timer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(stream, service)
        .with_upgrades();

    let mut connection = pin!(connection);
    let served = runtime::select! {
        served = connection.as_mut() => served,
        () = hub.until_closing() => {
            // Lets a response that is under way finish.
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    // What goes wrong in HTTP (a closed tab, a port scan) is of no interest to the log.
    if served.is_err() {
        return;
    }
    let Some(upgrade) = upgrade.get().cloned() else {
        return;
    };
    if let Ok(upgraded) = upgrade.await
        && let Ok(parts) = upgraded.downcast::<TcpStream>()
    {
        client::serve(parts.io, parts.read_buf.into(), hub).await;
    }
}

fn answer(request: Request<Incoming>, upgrade: &OnceLock<OnUpgrade>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::GET, "/ws") => open_socket(request, upgrade),
        (&Method::GET | &Method::HEAD, "/") => file("text/html; charset=utf-8", PAGE),
        (&Method::GET | &Method::HEAD, "/page.css") => file("text/css; charset=utf-8", STYLE),
        (&Method::GET | &Method::HEAD, "/page.js") => {
            file("text/javascript; charset=utf-8", SCRIPT)
        }
        (&Method::GET | &Method::HEAD, "/icon.svg") => file("image/svg+xml", ICON),
        (_, "/" | "/ws" | "/page.css" | "/page.js" | "/icon.svg") => {
            sorry(StatusCode::METHOD_NOT_ALLOWED, "Not with this method.\n")
        }
        _ => sorry(
            StatusCode::NOT_FOUND,
            "There is nothing here: the chat is at /\n",
        ),
    }
}

/// Agrees to speak WebSocket, if the request is a proper one and comes from our own page.
fn open_socket(
    mut request: Request<Incoming>,
    upgrade: &OnceLock<OnUpgrade>,
) -> Response<Full<Bytes>> {
    if !is_same_origin(request.headers()) {
        return sorry(
            StatusCode::FORBIDDEN,
            "Pages of other sites may not join the chat.\n",
        );
    }
    match create_response_with_body(&request, Full::default) {
        Ok(response) => {
            // A connection is upgraded once; a second request cannot come on it.
            let _ = upgrade.set(hyper::upgrade::on(&mut request));
            response
        }
        Err(error) => sorry(
            StatusCode::BAD_REQUEST,
            format!("No WebSocket request: {error}\n"),
        ),
    }
}

/// Browsers say which site a page comes from; programs that are no browsers say nothing.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let (Ok(origin), Some(Ok(host))) = (
        origin.to_str(),
        headers.get(header::HOST).map(HeaderValue::to_str),
    ) else {
        return false;
    };
    let site = origin.split_once("://").map_or(origin, |(_, site)| site);
    site.eq_ignore_ascii_case(host)
}

fn file(content_type: &'static str, text: &'static str) -> Response<Full<Bytes>> {
    respond(
        StatusCode::OK,
        content_type,
        Bytes::from_static(text.as_bytes()),
    )
}

fn sorry(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, content_type),
        // The page changes with the program: always ask whether it is still the same.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
