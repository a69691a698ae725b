//! What a request would take.

use std::time::Duration;

use deriva_api::{Basis, CutoffDecision, Error, Estimate, Forecast, FunctionForecast, Result};

use crate::fields::{addrs_of, bytes_of_all, count, invalid, number, numbers, required, same};
use crate::v1;

numbers!(Basis = Basis: Function, Recorded, OtherFunctions, Weight);

impl From<&Forecast> for v1::Forecast {
    fn from(forecast: &Forecast) -> Self {
        let mut wire = Self::default();
        same!(forecast -> wire: computed, work_seconds, critical_seconds, wall_seconds, simulated);
        wire.jobs = forecast.jobs as u64;
        wire.critical_path = bytes_of_all(&forecast.critical_path);
        wire.stored_bytes = forecast.bytes.stored;
        wire.lost_bytes = forecast.bytes.lost;
        wire.estimated_bytes = forecast.bytes.estimated;
        wire.unknown_outputs = forecast.bytes.unknown_outputs;
        wire.functions = forecast.functions.iter().map(Into::into).collect();
        wire
    }
}

impl TryFrom<v1::Forecast> for Forecast {
    type Error = Error;

    fn try_from(found: v1::Forecast) -> Result<Self> {
        let mut forecast = Self::default();
        same!(found -> forecast: computed, work_seconds, critical_seconds, wall_seconds, simulated);
        forecast.jobs = count("Forecast.jobs", found.jobs)?;
        forecast.critical_path = addrs_of("Forecast.critical_path", &found.critical_path)?;
        forecast.bytes.stored = found.stored_bytes;
        forecast.bytes.lost = found.lost_bytes;
        forecast.bytes.estimated = found.estimated_bytes;
        forecast.bytes.unknown_outputs = found.unknown_outputs;
        let functions = found.functions.into_iter().map(FunctionForecast::try_from);
        forecast.functions = functions.collect::<Result<_>>()?;
        Ok(forecast)
    }
}

impl From<&FunctionForecast> for v1::FunctionForecast {
    fn from(forecast: &FunctionForecast) -> Self {
        Self {
            function: Some((&forecast.function).into()),
            weight: v1::Weight::from(forecast.weight).into(),
            nodes: forecast.nodes,
            seconds: forecast.seconds,
            estimate: Some(forecast.estimate.into()),
            cutoff: Some(forecast.cutoff.into()),
        }
    }
}

impl TryFrom<v1::FunctionForecast> for FunctionForecast {
    type Error = Error;

    fn try_from(found: v1::FunctionForecast) -> Result<Self> {
        let mut forecast = Self::new(
            required("FunctionForecast.function", found.function)?.try_into()?,
            number::<v1::Weight, _>("FunctionForecast.weight", found.weight)?,
            required("FunctionForecast.estimate", found.estimate)?.try_into()?,
            required("FunctionForecast.cutoff", found.cutoff)?.try_into()?,
        );
        same!(found -> forecast: nodes, seconds);
        Ok(forecast)
    }
}

impl From<Estimate> for v1::Estimate {
    fn from(estimate: Estimate) -> Self {
        Self {
            time: Some(estimate.time.into()),
            bytes: estimate.bytes,
            calls: estimate.calls,
            basis: v1::Basis::from(estimate.basis).into(),
        }
    }
}

impl TryFrom<v1::Estimate> for Estimate {
    type Error = Error;

    fn try_from(found: v1::Estimate) -> Result<Self> {
        let time = required("Estimate.time", found.time)?.try_into()?;
        let basis = number::<v1::Basis, _>("Estimate.basis", found.basis)?;
        let mut estimate = Self::new(time, basis);
        same!(found -> estimate: bytes, calls);
        Ok(estimate)
    }
}

impl From<CutoffDecision> for v1::CutoffDecision {
    fn from(decision: CutoffDecision) -> Self {
        Self {
            pays: decision.pays,
            measured: decision.measured,
            call: Some(decision.call.into()),
            lookup: Some(decision.lookup.into()),
            write: Some(decision.write.into()),
        }
    }
}

impl TryFrom<v1::CutoffDecision> for CutoffDecision {
    type Error = Error;

    fn try_from(found: v1::CutoffDecision) -> Result<Self> {
        let time = |field, time| required(field, time).and_then(Duration::try_from);
        let mut decision = Self::default();
        same!(found -> decision: pays, measured);
        decision.call = time("CutoffDecision.call", found.call)?;
        decision.lookup = time("CutoffDecision.lookup", found.lookup)?;
        decision.write = time("CutoffDecision.write", found.write)?;
        Ok(decision)
    }
}
