//! An echo server for the judges of WebSocket endpoints: `echo [MAX_MESSAGE_BYTES]`. It says on stdout where it
//! listens, on loopback, and runs until its stdin ends. See `gaugecast::stream::echo`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::convert::Infallible;

use gaugecast::stream::echo;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let max_message = std::env::args().nth(1).map_or(64 << 10, |bytes| bytes.parse().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    // Whoever started this holds the other end; when that is gone so is the need for an echo.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let service = hyper::service::service_fn(move |request| async move {
            Ok::<_, Infallible>(echo(request, max_message))
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service).with_upgrades());
    }
}
