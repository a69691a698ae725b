//! What the server holds and does at this moment.

use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use deriva::admin::{Snapshot, Status};
use deriva::metrics::{ActiveRequest, ActivityReport, Incident};
use deriva_draw::{date, size, time};
use maud::{Markup, html};

use super::layout::Page;
use super::rates::{Rate, WINDOW};
use super::words::{grouped, isolated, known};
use super::{Answer, Pages};

/// Things that went wrong that are listed.
const INCIDENTS: usize = 10;

pub(super) async fn page(State(pages): State<Pages>) -> Answer {
    let site = &pages.site;
    let status = site.deriva.status().await?;
    let snapshot = site.deriva.snapshot();
    let report = site
        .activity
        .as_ref()
        .map(|activity| activity.report(&site.deriva));
    let body = html! {
        @if site.admission.is_draining() {
            p.failure { "The server is about to stop: it takes no more calls." }
        }
        (stored(&status, &snapshot))
        (under_way(&snapshot))
        (requests(report.as_ref(), &snapshot))
        @if let Some(rates) = pages.rates.now(&site.deriva) { (counted(&rates)) }
        @if let Some(report) = &report { (incidents(report)) }
    };
    Ok(Page::new("Overview", body).at("/").into_response())
}

fn stored(status: &Status, snapshot: &Snapshot) -> Markup {
    let bytes = status.blob_bytes.map(size);
    html! {
        section aria-labelledby="stored" {
            h2 #stored { "What is stored" }
            dl.tiles {
                div { dt { "Recipes" } dd { (known(status.recipes)) } }
                div { dt { "Outputs" } dd { (known(status.outputs)) } }
                div { dt { "Blobs" } dd { (known(status.blobs)) } }
                div { dt { "Bytes of blobs" } dd { (bytes.unwrap_or_else(|| "not known".to_owned())) } }
                div { dt { a href="/roots" { "Roots" } } dd { (known(status.roots)) } }
                div { dt { a href="/ledger" { "Open in the ledger" } } dd { (grouped(snapshot.ledger_open)) } }
            }
            dl.facts {
                dt { "Blob store" } dd { code { (status.blob_store) } }
                dt { "DAG store" } dd { code { (status.dag_store) } }
                dt { "Executor" } dd { code { (status.executor) } }
                @let checks = &status.verification.total;
                @if checks.checked > 0 {
                    dt { "Checked computations" }
                    dd { (grouped(checks.checked)) ", of which " (grouped(checks.violated)) " disagreed" }
                }
                @if snapshot.quarantined > 0 {
                    dt { "Functions in quarantine" } dd { (grouped(snapshot.quarantined)) }
                }
            }
        }
    }
}

fn under_way(snapshot: &Snapshot) -> Markup {
    let upkeep = [
        ("Collections", snapshot.collections),
        ("Scrubs", snapshot.scrubs),
        ("Invalidations", snapshot.invalidations),
        ("Audits", snapshot.audits),
    ];
    html! {
        section aria-labelledby="now" {
            h2 #now { "At this moment" }
            dl.facts {
                dt { "Slots for computations" }
                dd { (grouped(snapshot.slots_in_use)) " of " (grouped(snapshot.slots)) " in use, " (grouped(snapshot.slots_wanted)) " wanted" }
                dt { "Addresses being computed" } dd { (grouped(snapshot.flights)) }
                dt { "Memory" }
                dd {
                    (size(snapshot.memory_bytes)) " of " (size(snapshot.memory_limit)) " "
                    (share("Memory in use", snapshot.memory_bytes, snapshot.memory_limit))
                }
                dt { "Cache" }
                dd {
                    (size(snapshot.cache.bytes)) " of " (size(snapshot.cache.limit)) ", " (grouped(snapshot.cache.entries)) " entries "
                    (share("Cache in use", snapshot.cache.bytes, snapshot.cache.limit))
                }
                @for (what, count) in upkeep {
                    @if count > 0 { dt { (what) } dd { (grouped(count)) } }
                }
            }
        }
    }
}

fn share(label: &str, part: u64, whole: u64) -> Markup {
    html! { meter min="0" max=(whole.max(1)) value=(part.min(whole)) aria-label=(label) {} }
}

fn requests(report: Option<&ActivityReport>, snapshot: &Snapshot) -> Markup {
    html! {
        section aria-labelledby="requests" {
            h2 #requests { "Requests under way" }
            @match report {
                None => p { (grouped(snapshot.requests)) ". Nothing tells this server how far they are." },
                Some(report) if report.requests.is_empty() => p { "None." },
                Some(report) => {
                    div.wide role="region" aria-label="Table of requests" tabindex="0" {
                        table {
                            thead { tr {
                                th scope="col" { "Request" }
                                th scope="col" { "Addresses" }
                                th scope="col" { "Phase" }
                                th scope="col" { "Progress" }
                                th scope="col" .number { "Running" }
                                th scope="col" .number { "Time left" }
                            } }
                            tbody { @for request in &report.requests { (row(request, report.now_millis)) } }
                        }
                    }
                    @if report.active > report.requests.len() as u64 {
                        p { "These are the oldest " (report.requests.len()) " of " (grouped(report.active)) "." }
                    }
                }
            }
            p { a href="/" { "Look again" } }
        }
    }
}

fn row(request: &ActiveRequest, now_millis: u64) -> Markup {
    let running = Duration::from_millis(now_millis.saturating_sub(request.began_millis));
    let left = request.left_seconds.map(Duration::try_from_secs_f64);
    let left = left.and_then(Result::ok).map(time);
    let others = request.asked.saturating_sub(request.addresses.len() as u64);
    html! {
        tr {
            th scope="row" { (request.number) }
            td {
                @for addr in &request.addresses { a href={ "/address/" (addr) } { code.short { (addr) } } " " }
                @if others > 0 { "and " (grouped(others)) " more" }
            }
            td { (request.phase) }
            td {
                (grouped(request.done)) " of " (grouped(request.planned)) " recipes "
                @if request.planned > 0 {
                    progress max=(request.planned) value=(request.done.min(request.planned))
                        aria-label={ "Progress of request " (request.number) } {}
                }
                @if request.failed > 0 { " " span.badge.bad { (grouped(request.failed)) " failed" } }
            }
            td.number { (time(running)) }
            td.number { (left.unwrap_or_else(|| "not known".to_owned())) }
        }
    }
}

fn counted(rates: &[Rate]) -> Markup {
    let amount = |rate: &Rate, n: f64| match rate.what.starts_with("bytes") {
        true => size(n as u64),
        false if n > 0.0 && n < 100.0 && n.fract() > 0.0 => format!("{n:.2}"),
        false => grouped(n as u64),
    };
    html! {
        section aria-labelledby="rates" {
            h2 #rates { "Rates" }
            div.wide role="region" aria-label="Table of rates" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "What" }
                        th scope="col" .number { "In a second, lately" }
                        th scope="col" .number { "Since the start" }
                    } }
                    tbody {
                        @for rate in rates {
                            tr {
                                th scope="row" { (rate.what) }
                                td.number { (rate.per_second.map_or_else(|| "not known yet".to_owned(), |n| amount(rate, n))) }
                                td.number { (amount(rate, rate.total)) }
                            }
                        }
                    }
                }
            }
            p.remark { "Lately: over the last " (WINDOW.as_secs()) " seconds. " a href="/metrics" { "All metrics" } }
        }
    }
}

fn incidents(report: &ActivityReport) -> Markup {
    html! {
        section aria-labelledby="wrong" {
            h2 #wrong { "What went wrong lately" }
            @if report.incidents.is_empty() {
                p { "Nothing since the start." }
            } @else {
                ul.plain { @for incident in report.incidents.iter().take(INCIDENTS) { (told(incident)) } }
                p.remark { (grouped(report.incidents_total)) " since the start." }
            }
        }
    }
}

fn told(incident: &Incident) -> Markup {
    html! {
        li {
            time { (date(incident.at_millis)) } " "
            span.badge.bad { (incident.what) } " "
            @if let Some(addr) = &incident.addr { a href={ "/address/" (addr) } { code { (addr) } } " " }
            @if let Some(function) = &incident.function { code { (isolated(function)) } " " }
            (isolated(&incident.message))
        }
    }
}
