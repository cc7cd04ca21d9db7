// Sends pictures to POST /faces of the server this page came from, and shows what it found in them.
"use strict";

const LONGER_SIDE = 1600; // pixels of a picture: more shows no more faces, and takes longer
const CAMERA_SIDE = 640;
const RETRY_MS = 1000;

const element = (id) => document.getElementById(id);
const canvas = element("picture");
const stage = element("stage");
let stream = null; // of the camera, while it is on
let newest = 0; // of the pictures sent: answers to older ones are not shown

stage.classList.add("empty");

function say(text, isError = false) {
  const status = element("status");
  status.classList.toggle("error", isError);
  // Unchanged words are not written again: a screen reader would say them with every frame.
  if (status.textContent !== text) status.textContent = text;
}

/** Draws a picture or a frame into the canvas, scaled down to a longer side, maybe mirrored. */
function draw(source, width, height, longerSide, isMirrored) {
  const scale = Math.min(1, longerSide / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (isMirrored) context.setTransform(-1, 0, 0, 1, canvas.width, 0);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  stage.classList.remove("empty");
}

/** Asks for the faces of what is in the canvas: nothing of the file but its pixels is sent. */
async function askForFaces() {
  const content = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  let response;
  try {
    response = await fetch("faces", { method: "POST", body: content });
  } catch {
    throw new Error("The server does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `The server answered ${response.status}.`);
  return answer;
}

const percent = (probability) => `${Math.round(100 * probability)}%`;

function summarize(found) {
  if (found.length === 0) return "No face found.";
  const count = found.length === 1 ? "1 face" : `${found.length} faces`;
  return `${count}: ${found.map((face) => face.label).join(", ")}.`;
}

function makeBox(face, number, { width, height }) {
  const box = document.createElement("div");
  box.className = "box";
  // There is no place for the label above it.
  box.classList.toggle("at-top", face.box.y < 0.1 * height);
  box.style.left = `${(100 * face.box.x) / width}%`;
  box.style.top = `${(100 * face.box.y) / height}%`;
  box.style.width = `${(100 * face.box.width) / width}%`;
  box.style.height = `${(100 * face.box.height) / height}%`;
  const label = document.createElement("span");
  label.textContent = `${number} ${face.label}`;
  box.append(label);
  return box;
}

function makeRow(emotion, probability, isLikely) {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  const track = document.createElement("div");
  const bar = document.createElement("div");
  term.textContent = emotion;
  track.className = "track";
  track.setAttribute("aria-hidden", "true");
  bar.className = "bar";
  bar.style.width = `${100 * probability}%`;
  track.append(bar);
  value.append(track, percent(probability));
  for (const part of [term, value]) part.classList.toggle("likely", isLikely);
  return [term, value];
}

function makeCard(face, number) {
  const card = element("face").content.cloneNode(true);
  card.querySelector(".number").textContent = number;
  card.querySelector(".label").textContent =
    `${face.label}, ${percent(face.probabilities[face.label])}`;
  card.querySelector("dl").append(
    ...Object.entries(face.probabilities).flatMap(([emotion, probability]) =>
      makeRow(emotion, probability, emotion === face.label)
    )
  );
  return card;
}

function show(answer) {
  const found = answer.faces;
  element("boxes").replaceChildren(...found.map((face, at) => makeBox(face, at + 1, answer)));
  element("faces").replaceChildren(...found.map((face, at) => makeCard(face, at + 1)));
  canvas.setAttribute("aria-label", `Picture. ${summarize(found)}`);
  say(summarize(found));
}

function clear() {
  element("boxes").replaceChildren();
  element("faces").replaceChildren();
}

async function showFile(file) {
  stopCamera();
  const number = ++newest;
  clear();
  say("Looking for faces …");
  try {
    const picture = await createImageBitmap(file).catch(() => {
      throw new Error(`${file.name || "This"} is no picture that this browser can read.`);
    });
    if (number !== newest) return;
    draw(picture, picture.width, picture.height, LONGER_SIDE, false);
    picture.close();
    const answer = await askForFaces();
    if (number === newest) show(answer);
  } catch (error) {
    if (number === newest) say(error.message, true);
  }
}

const CAMERA_ERRORS = {
  NotAllowedError: "The browser was told not to use the camera.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is in use by another program.",
};

async function startCamera() {
  const number = ++newest;
  if (!navigator.mediaDevices) {
    // Browsers give a camera to pages of this machine, or by https, only.
    say("The camera needs https: start the server with --tls-key and --tls-certificate.", true);
    return;
  }
  say("Waiting for the camera …");
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 } },
    });
  } catch (error) {
    if (number === newest) say(CAMERA_ERRORS[error.name] || `No camera: ${error.message}`, true);
    return;
  }
  if (number !== newest) {
    opened.getTracks().forEach((track) => track.stop());
    return;
  }
  stream = opened;
  setCameraButton(true);
  clear();
  await followCamera(opened, number);
}

/** Sends a frame, shows the answer on it, sends the next: as fast as the server answers. */
async function followCamera(opened, number) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = opened;
  const [track] = opened.getVideoTracks();
  track.addEventListener("ended", () => {
    if (number === newest) {
      stopCamera();
      say("The camera is gone.", true);
    }
  });
  try {
    await video.play();
    while (number === newest && stream === opened) {
      const isMirrored = track.getSettings().facingMode !== "environment";
      draw(video, video.videoWidth, video.videoHeight, CAMERA_SIDE, isMirrored);
      await askOnce(number);
      if (number !== newest) return;
      // Not in a hidden tab: there no frame is drawn.
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    if (number !== newest) return;
    stopCamera();
    say(error.message, true);
  }
}

/** Shows the answer for the frame; where there is none, says why and waits before the next. */
async function askOnce(number) {
  try {
    const answer = await askForFaces();
    if (number === newest) show(answer);
  } catch (error) {
    if (number !== newest) return;
    clear();
    say(error.message, true);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function setCameraButton(isOn) {
  element("camera").textContent = isOn ? "Stop the camera" : "Start the camera";
}

function stopCamera() {
  newest += 1;
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  setCameraButton(false);
}

element("camera").addEventListener("click", () => {
  if (!stream) {
    startCamera();
    return;
  }
  stopCamera();
  say("The camera is off.");
});

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same one may be chosen again
  if (file) showFile(file);
});

document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) showFile(file);
});

// Anywhere on the page: a picture dropped beside the frame must not replace the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  stage.classList.add("dropping");
});
document.addEventListener("dragleave", () => stage.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file) showFile(file);
});
