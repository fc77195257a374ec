// The whole of what a shop's page needs to take a card is in this first part.
const panless = Panless(document.body.dataset.key);
const fields = panless.fields();
for (const type of ["number", "expiry", "cvc"]) fields.create(type).mount(`#${type}`);

const form = document.querySelector("#checkout");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await busy(async () => {
    const card = await fields.tokenize({ name: form.elements.name.value.trim() || undefined });
    await pay(card);
  });
});

// The rest shows what everybody saw, which only a demo can.
const message = document.querySelector("#message");

async function busy(work) {
  const button = form.querySelector("button");
  button.disabled = true;
  message.textContent = "";
  message.className = "";
  try {
    await work();
  } catch (error) {
    message.textContent = error.field ? "" : error.message; // what is wrong in a field stands there
  } finally {
    button.disabled = false;
  }
}

async function pay(card) {
  const answer = await fetch("/pay", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ order: "A-1002", amount: 1999, card }),
  });
  const told = await answer.json();
  const paid = told.status === "succeeded";
  message.className = paid ? "good" : "";
  message.textContent = paid ? `Thank you. Payment ${told.id} succeeded.` : `The payment was not made: ${told.status}.`;
  await show(card.token);
}

async function show(token) {
  const seen = await (await fetch(`/seen?token=${encodeURIComponent(token)}`)).json();
  document.querySelector("#shop").textContent = JSON.stringify(seen.shop, null, 2);
  document.querySelector("#gateway").textContent = JSON.stringify(seen.gateway, null, 2);
  const rows = seen.audit.map((event) => {
    const row = document.createElement("tr");
    for (const text of [event.at.slice(11, 19), event.action, event.who, event.where, event.outcome]) {
      const cell = row.insertCell();
      cell.textContent = text;
    }
    return row;
  });
  document.querySelector("#audit").replaceChildren(...rows);
}
