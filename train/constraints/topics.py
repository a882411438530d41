"""Topics and tasks that are combined to plain instructions, each written for this data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

# Things that can be explained, described, compared, praised.
SUBJECTS = """
the water cycle; photosynthesis; how bread rises; the phases of the moon
why leaves change colour; tides; earthquakes; volcanoes; glaciers; coral reefs; rainforests
deserts; wetlands; mangroves; honeybees; octopuses; migratory birds; wolves; whales; penguins
ants; bats; owls; sea turtles; house cats; guide dogs; goldfish; parrots; horses
backyard chickens; hamsters; rabbits; snails; green tea; coffee roasting; sourdough bread
cheese making; olive oil; dark chocolate; rice dishes; vegetable soup; home canning
spices of the world; street food; picnic food; breakfast habits; the printing press
steam engines; sailing ships; railways; bicycles; electric cars; hot air balloons; lighthouses
windmills; bridges; tunnels; skyscrapers; castles; public libraries; city parks; markets
ancient Egypt; the Roman roads; the Silk Road; the Vikings; the Renaissance
the Industrial Revolution; the first moon landing; the space station; telescopes; comets
black holes; satellites; Mars rovers; vaccines; antibiotics; eyeglasses; sleep
walking every day; stretching; hydration; stress; posture; jazz music; choirs; the piano
the guitar; drums; film soundtracks; street musicians; dance classes; oil painting; photography
pottery; origami; knitting; woodworking; calligraphy; gardening; birdwatching; chess
board games; crossword puzzles; hiking; swimming; cycling; rock climbing; table tennis; yoga
remote work; team meetings; job interviews; time management; to-do lists; small talk
public speaking; saving money; household budgets; renting a flat; moving to a new city
second-hand shops; recycling; composting; solar panels; wind power; saving water
public transport; car sharing; urban farming; computer passwords; backups; spreadsheets
search engines; open source software; video calls; robots; machine learning; weather forecasts
maps; time zones; calendars; the metric system; prime numbers; fractions; probability; symmetry
triangles; the number zero; coding for beginners; spelling; grammar; reading aloud
school lunches; homework; exams; study groups; field trips; volunteering; first aid
learning a language; keeping a diary; letter writing; poetry; fairy tales; detective stories
comics; weddings; birthdays; harvest festivals; New Year traditions; national parks; camping
beach holidays; train journeys; airports; hostels; road trips; mountain villages; fishing towns
islands; night skies; thunderstorms; snow; fog; autumn; spring; the summer solstice; rainbows
clouds; wind; morning dew; minimalism; kindness; patience; curiosity; honesty; teamwork; courage
gratitude; forgiveness; humour; magnets; batteries; glass; paper; cotton; steel; plastic
concrete; rubber; soap; candles; umbrellas; traffic lights; elevators; clocks; pencils; zippers
shoes; hats; pockets; mirrors; keys; doors
"""

# Characters and happenings for stories, poems, songs and jokes.
SCENES = """
a lighthouse keeper who is afraid of the dark; a baker who loses her recipe book
a lost umbrella; two brothers who build a raft; a robot that learns to paint
a dog that waits at a train station; a village without clocks; a girl who collects sounds
an old map found in a library book; a dragon who is allergic to smoke
a night train that never stops; a gardener on the moon; a postman in a snowstorm
a cat that runs a bookshop; a teacher's last day at school; a river that changes its mind
three friends and a broken bicycle; a wizard who forgets spells; a fisherman and a talking fish
the smallest tree in the forest; a chef with no sense of taste; a pirate who is seasick
a mountain that wants to travel; an astronaut's birthday in space
a mouse who wants to be a judge; a pianist who finds a strange key; a market on a cloudy morning
a grandmother who learns to surf; a town where it rains upwards; a shy ghost in a new house
a spider that opens a school; the day all phones stopped working; a race between two snails
a violin left on a bus; a scarecrow who loves crows; a queen who wants to be a carpenter
a message in a bottle; a bridge between two rival villages; a clockmaker's apprentice
a fox that cannot lie; the last bookshop in the city; a child who befriends the wind
a football match in the rain; a secret door in the kitchen; an elephant at a tea party
"""

# What people write to each other about.
OCCASIONS = """
a missed deadline; a holiday request; a broken washing machine; a surprise party; a lost parcel
a change of the meeting time; a recommendation for a former student; a noisy neighbour
a new website; a thank-you for a gift; a late train refund; a school trip; a job application
an office move; a farewell to a colleague; a volunteer day; a dinner invitation; a wrong invoice
a book club; a charity run; a summer course; a new puppy; a power cut; a lost set of keys
a music lesson; a dentist appointment; a rental contract; a garden project; a product launch
a training plan; a weekend trip; a delayed delivery; a team lunch; a survey of customers
a photo exhibition; a used bicycle for sale; a room for rent; a babysitter; a guided tour
a cooking class; a swimming club; a neighbourhood clean-up; a missing cat; a recipe exchange
a reunion
"""

# Questions with an answer.
QUESTIONS = """
Why is the sky blue?; How do magnets work?; What makes a good leader?; Why do we dream?
How does a refrigerator keep food cold?; What is inflation?; Why do cats purr?
How are rainbows made?; What is the difference between weather and climate?
How do plants drink water?; Why is the sea salty?; How do I remove a coffee stain?
What should I pack for a week in the mountains?; How do planes fly?
How can I fall asleep faster?; Is it better to rent or to buy a home?
What is a healthy breakfast?; How can a shy person make friends?
How do I train for a first long run?; Why do onions make us cry?
What are the pros and cons of working at night?; How do I start a vegetable garden?
What is a haiku?; How can I remember names better?; Why do we have leap years?
What causes a thunderstorm?; How do bees make honey?; What is the greenhouse effect?
How does a bicycle stay upright?; Are zoos good for animals?; Should children have homework?
Is breakfast the most important meal?; How do I write a good introduction?
What can be done with stale bread?; Why does bread go mouldy?; How do I choose a first guitar?
What is compound interest?; How do I plan a small wedding?; How do fish breathe?
Why do stars twinkle?; What are vitamins for?; How is paper made?
Should cities ban cars from the centre?; What makes a joke funny?
How do I greet a new neighbour?; How do I keep houseplants alive?; What is the point of poetry?
Can money make people happy?
"""

SUBJECT_TASKS = (
    "Explain {topic} to a child.",
    "Explain {topic} in simple terms.",
    "Write a short article about {topic}.",
    "Write a blog post about {topic}.",
    "Write an essay on {topic}.",
    "Give me an overview of {topic}.",
    "Describe {topic} to someone who has never heard of it.",
    "Write a product review that mentions {topic}.",
    "What are some interesting facts about {topic}?",
    "Tell me about {topic}.",
    "List some good things about {topic}.",
    "What should a beginner know about {topic}?",
    "Write a paragraph on {topic} for a school newspaper.",
    "Write a speech about {topic}.",
    "Write a funny advertisement about {topic}.",
    "Write a dialogue between two friends about {topic}.",
    "Come up with quiz questions about {topic}.",
    "Write a social media post about {topic}.",
    "Give some advice on {topic}.",
    "What are the advantages and disadvantages of {topic}?",
    "Summarize what is known about {topic}.",
    "Write an encyclopedia entry on {topic}.",
    "Write an outline for a lesson on {topic}.",
    "Make a plan for a museum exhibition on {topic}.",
    "Why do people care about {topic}?",
    "Write a poem about {topic}.",
    "Write a slogan and a short pitch about {topic}.",
    "I am curious about {topic}. What can you tell me?",
    "Write a rap about {topic}.",
    "Propose names for a club that is about {topic}, and say why each fits.",
)
SCENE_TASKS = (
    "Write a story about {topic}.",
    "Write a short story about {topic}.",
    "Write a poem about {topic}.",
    "Write the lyrics of a song about {topic}.",
    "Write a scene of a play about {topic}.",
    "Tell a bedtime story about {topic}.",
    "Write a limerick about {topic}.",
    "Write a news report about {topic}.",
    "Write the opening of a novel about {topic}.",
    "Write a riddle about {topic}, and its answer.",
    "Write a diary entry about {topic}.",
    "Write a film review of a film about {topic}.",
)
OCCASION_TASKS = (
    "Write an email about {topic}.",
    "Write a letter to a friend about {topic}.",
    "Write a formal letter about {topic}.",
    "Write a short message about {topic}.",
    "Write an announcement about {topic}.",
    "Write a flyer about {topic}.",
    "Draft a reply to a message about {topic}.",
    "Write a template for an email about {topic}.",
    "Write a polite complaint that has to do with {topic}.",
    "Write a notice for the door about {topic}.",
    "Write a tweet about {topic}.",
    "Prepare a phone call about {topic}: what should be said?",
)

# Words that a constraint may ask for or forbid.
_WORDS = """
time water light garden music friend winter journey bridge letter window market morning story
river simple bright quiet golden careful honest gentle famous modern ancient local global
healthy creative learn build share travel discover remember listen improve protect support
change grow create choose balance energy culture nature history future science kitchen weather
mountain village engine colour family school teacher doctor farmer artist neighbour customer
player writer leader captain stranger important beautiful necessary difficult popular common
special natural possible different useful always never often sometimes together however because
therefore although finally maybe quickly paper silver copper marble velvet cotton candle basket
blanket ladder hammer mirror pencil button safety budget project design method problem solution
result reason effort advice habit skill goal dream laughter courage patience wonder silence
memory promise secret victory comfort freedom
"""


@dataclass(frozen=True, slots=True)
class PlainInstruction:
    """An instruction without constraints, and what it is about, where that is known."""

    text: str
    topic: str = ""


def _entries(lines: str) -> tuple[str, ...]:
    entries = (entry.strip() for line in lines.splitlines() for entry in line.split(";"))
    return tuple(dict.fromkeys(entry for entry in entries if entry))


WORDS = tuple(dict.fromkeys(_WORDS.split()))


@cache
def every() -> tuple[PlainInstruction, ...]:
    """All combinations, in a fixed order."""
    combined = [PlainInstruction(question) for question in _entries(QUESTIONS)]
    for topics, tasks in (
        (SUBJECTS, SUBJECT_TASKS),
        (SCENES, SCENE_TASKS),
        (OCCASIONS, OCCASION_TASKS),
    ):
        combined += [
            PlainInstruction(task.format(topic=topic), topic)
            for topic in _entries(topics)
            for task in tasks
        ]
    return tuple(combined)


def shuffled(seed: int) -> list[PlainInstruction]:
    """All combinations in an order that the seed decides; the first thousands of them cover every
    topic and every task."""
    combined = list(every())
    Random(seed).shuffle(combined)
    return combined
