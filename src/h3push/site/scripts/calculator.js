// Break-even of one push: it takes `sending` ms of the link from bytes that are needed, and saves one round trip if it is used.
// Gain = probability × trip − (1 − probability) × sending, which is zero at sending ÷ (trip + sending).

const form = document.getElementById("calculator");
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });

function breakEven(kilobytes, megabitsPerSecond, tripMs) {
  const sending = (kilobytes * 8) / megabitsPerSecond;
  return { sending, probability: sending / (tripMs + sending) };
}

function answer() {
  const [size, rate, trip] = ["size", "rate", "trip"].map((name) => form.elements[name].valueAsNumber);
  if (!(size > 0 && rate > 0 && trip > 0)) {
    form.elements.answer.value = "Three numbers above zero, please.";
    return;
  }
  const { sending, probability } = breakEven(size, rate, trip);
  form.elements.answer.value =
    `Sending takes ${number.format(sending)} ms, waiting for the request ${number.format(trip)} ms. ` +
    `Push when more than ${percent.format(probability)} of the clients use it; ` +
    "with an idle link time is never lost, only bytes.";
}

form.addEventListener("input", answer);
form.addEventListener("submit", (event) => event.preventDefault());
answer();
