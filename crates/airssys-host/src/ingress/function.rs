//! Requests for a function, by a JSON body.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value as Json};
use wasmtime_wasi_http::Error as HttpError;

use super::Shared;
use super::body::{Exchange, RequestBody, ResponseBody};
use super::guest::Driven;
use super::json::{self, Mismatch};
use super::problem::Problem;
use super::request::{json as json_response, too_large};
use crate::component::{Component, Function};
use crate::error::Error;
use crate::route::{Outcome, Passage};
use crate::value::{Type, Value, wave};

/// Names that are offered in the place of one that is not there.
const MOST_NEAR: usize = 3;

/// Answer `request` by the function that `name` is for.
pub async fn answer(
    mut passage: Passage,
    name: &str,
    request: Request<Incoming>,
    exchange: &Arc<Exchange>,
    shared: &Arc<Shared>,
) -> Result<Response<ResponseBody>, Problem> {
    let component = passage.component().clone();
    let export = find(&component, name)?;
    if request.method() != Method::POST {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "a function is called by POST",
        )
        .allow("POST"));
    }
    if let Some(bound) = component.bound_to_instance(export) {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no-json",
            format!("the function handles {bound}, which has no JSON"),
        ));
    }
    let ty = component.exports[export].ty.clone();
    let arguments = read(request, exchange)
        .await
        .and_then(|body| json::arguments(body, &ty).map_err(unfit))?;
    let call = passage
        .begin(export, arguments, None)
        .map_err(|error| Problem::of(&error))?;
    let judge = |result: &Result<Option<Value>, Error>| match result {
        Ok(_) => Outcome::Answered,
        Err(error) => Outcome::of(error),
    };
    let driven = Box::pin(Driven::new(
        call,
        passage,
        exchange.clone(),
        shared.clone(),
        Box::new(judge),
    ));
    let value = driven.await.map_err(|error| Problem::of(&error))?;
    match (value, &ty.result) {
        (Some(Value::Result(Err(error))), Some(Type::Result(result))) => {
            let error = error
                .as_deref()
                .zip(result.err.as_ref())
                .and_then(|(error, ty)| json::write(error, ty));
            Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "declared-error",
                "the function answered with the error of its result",
            )
            .with("error", error.unwrap_or_default()))
        }
        (Some(Value::Result(Ok(value))), Some(Type::Result(result))) => {
            whole(value.as_deref(), result.ok.as_ref())
        }
        (value, ty) => whole(value.as_ref(), ty.as_ref()),
    }
}

fn whole(value: Option<&Value>, ty: Option<&Type>) -> Result<Response<ResponseBody>, Problem> {
    let Some((value, ty)) = value.zip(ty) else {
        let mut nothing = Response::new(ResponseBody::whole(bytes::Bytes::new()));
        *nothing.status_mut() = StatusCode::NO_CONTENT;
        return Ok(nothing);
    };
    match json::write(value, ty) {
        Some(json) => Ok(json_response(StatusCode::OK, json.to_string().into())),
        None => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no-json",
            format!("a {ty} has no JSON"),
        )),
    }
}

/// The export that a path names: `add`, `demo:calc/ops#add` with a slash in the place of the `#`, or a function's
/// own name where one interface only has it.
fn find(component: &Component, name: &str) -> Result<usize, Problem> {
    let found = wave::find(component, name).or_else(|unknown| match name.rsplit_once('/') {
        Some((interface, function)) => wave::find(component, &format!("{interface}#{function}")),
        None => Err(unknown),
    });
    found.map_err(|_| {
        let known: Vec<_> = component.exports.iter().map(Function::path).collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-function",
            "the deployment has no such function",
        )
        .with("near", near(name, &known))
    })
}

/// Names that read like `wanted`, the most alike first.
fn near(wanted: &str, known: &[String]) -> Vec<String> {
    let own = |name: &str| name.rsplit(['#', '/']).next().unwrap_or(name).to_owned();
    let wanted = own(wanted);
    let mut near: Vec<_> = known
        .iter()
        .map(|name| (distance(&wanted, &own(name)), name))
        .filter(|(distance, _)| *distance <= wanted.chars().count().max(3) / 2)
        .collect();
    near.sort();
    let names = near.into_iter().take(MOST_NEAR);
    names.map(|(_, name)| name.clone()).collect()
}

/// How many letters to change, to add or to take away (Levenshtein), for names of at most 64 letters.
fn distance(first: &str, second: &str) -> usize {
    let second: Vec<char> = second.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=second.len()).collect();
    for (index, letter) in first.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in second.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[second.len()]
}

/// The whole body as JSON; nothing is `null`.
async fn read(request: Request<Incoming>, exchange: &Arc<Exchange>) -> Result<Json, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "arguments are JSON: `Content-Type: application/json`",
        ));
    }
    let body = RequestBody::new(request.into_body(), exchange.clone(), None);
    let most = exchange.limits.body_bytes;
    let bytes = body.collect().await.map_err(|error| match error {
        HttpError::HttpRequestBodySize(_) => too_large(most),
        HttpError::ConnectionReadTimeout => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-timeout",
            "the body of the request did not arrive in time",
        ),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "body",
            "the body of the request is broken",
        ),
    })?;
    let bytes = bytes.to_bytes();
    if bytes.is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "not-json",
            format!("the body is not JSON: {error}"),
        )
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let value = value.to_str().unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

fn unfit(error: Mismatch) -> Problem {
    let members = Map::from_iter([("path".to_owned(), error.path.clone().into())]);
    let mut problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "arguments",
        format!("{}: {}", error.path, error.reason),
    );
    problem.members = members;
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_read_alike_are_near() {
        let known = ["add", "demo:calc/ops#divide", "version"].map(str::to_owned);
        assert_eq!(near("ad", &known), ["add"]);
        assert_eq!(
            near("demo:calc/ops/devide", &known),
            ["demo:calc/ops#divide"]
        );
        assert_eq!(near("quadrature", &known), Vec::<String>::new());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
    }
}
