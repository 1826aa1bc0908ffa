"""The mappers of pgvector's Python package: fields, indexes by their own classes, distances by their own methods."""

import django
import django.conf
import numpy as np
import peewee
import pgvector.django
import pgvector.peewee
import pgvector.sqlalchemy
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm
import sqlmodel
from pgvector import SparseVector

import corpus

METHODS = {
    "l2": "l2_distance",
    "ip": "max_inner_product",
    "cosine": "cosine_distance",
    "l1": "l1_distance",
    "hamming": "hamming_distance",
    "jaccard": "jaccard_distance",
}
EACH_SEARCH = pytest.mark.parametrize("column, distance", corpus.SEARCHES)
# 600 rows are sorted faster than searched: this is about the index.
SETTINGS = {"enable_seqscan": "off", "enable_sort": "off", "hnsw.ef_search": "100", "ivfflat.probes": "4"}
OPTIONS = "-c " + " -c ".join(f"{name}={value}" for name, value in SETTINGS.items())


def bits(x):
    return "".join("01"[int(bit)] for bit in x)


def value(column, x):
    """What the mappers take: arrays, and for bit and sparsevec what their fields ask for."""
    return {"v": x, "h": x, "s": SparseVector(x) if column == "s" else None, "b": bits(x) if column == "b" else None}[
        column
    ]


def record(row):
    values = {column: value(column, corpus.base(column)[row]) for column in corpus.COLUMNS}
    return {"id": row, "category": corpus.category(row)} | values


def same(found, column, row):
    found = found.to_list() if hasattr(found, "to_list") else found
    return np.array_equal(np.asarray(found, np.float32), corpus.base(column)[row])


class TestSqlalchemy:
    class Base(sqlalchemy.orm.DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "items"
        id = sqlalchemy.orm.mapped_column(sqlalchemy.Integer, primary_key=True)
        category = sqlalchemy.orm.mapped_column(sqlalchemy.Integer)
        v = sqlalchemy.orm.mapped_column(pgvector.sqlalchemy.VECTOR(corpus.DIMS))
        h = sqlalchemy.orm.mapped_column(pgvector.sqlalchemy.HALFVEC(corpus.DIMS))
        s = sqlalchemy.orm.mapped_column(pgvector.sqlalchemy.SPARSEVEC(corpus.DIMS))
        b = sqlalchemy.orm.mapped_column(pgvector.sqlalchemy.BIT(corpus.DIMS))

    @pytest.fixture(scope="class")
    @classmethod
    def session(cls, database):
        engine = sqlalchemy.create_engine(
            database.url("postgresql+psycopg"), connect_args={"options": OPTIONS}, poolclass=sqlalchemy.NullPool
        )
        with sqlalchemy.orm.Session(engine) as session:
            session.execute(sqlalchemy.text("CREATE EXTENSION IF NOT EXISTS vector"))
            session.commit()
            cls.Base.metadata.create_all(engine)
            yield session
        engine.dispose()

    def test_insert(self, session):
        session.add_all([self.Item(**record(row)) for row in range(corpus.FIRST)])
        session.commit()

    def test_bulk(self, session):
        session.execute(sqlalchemy.insert(self.Item), [record(row) for row in range(corpus.FIRST, corpus.ROWS)])
        session.commit()
        assert session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(self.Item)) == corpus.ROWS

    def test_values(self, session):
        session.expire_all()
        item = session.get(self.Item, 9)
        assert all(same(getattr(item, column), column, 9) for column in "vhs")
        assert item.b == bits(corpus.base("b")[9])

    @EACH_SEARCH
    def test_index(self, session, column, distance):
        sqlalchemy.Index(
            f"sqlalchemy_{column}_{distance}",
            getattr(self.Item, column),
            postgresql_using="hnsw",
            postgresql_with={"m": 16, "ef_construction": 64},
            postgresql_ops={column: corpus.operator_class(column, distance)},
        ).create(session.connection())
        session.commit()

    def test_ivfflat_index(self, session):
        sqlalchemy.Index(
            "sqlalchemy_lists",
            self.Item.v,
            postgresql_using="ivfflat",
            postgresql_with={"lists": 4},
            postgresql_ops={"v": "vector_l2_ops"},
        ).create(session.connection())
        session.commit()

    @EACH_SEARCH
    def test_search(self, session, column, distance):
        measure = getattr(getattr(self.Item, column), METHODS[distance])
        rows = session.scalars(
            sqlalchemy.select(self.Item).order_by(measure(value(column, corpus.query(column)))).limit(corpus.K)
        )
        corpus.check([item.id for item in rows], column, distance)

    def test_filter(self, session):
        session.execute(sqlalchemy.text("SET hnsw.iterative_scan = 'relaxed_order'"))
        nearest = self.Item.v.l2_distance(corpus.query("v"))
        rows = session.execute(
            sqlalchemy.select(self.Item.id, nearest).filter(self.Item.category == 2).order_by(nearest).limit(corpus.K)
        ).all()
        corpus.check([row[0] for row in rows], "v", "l2", only=2)
        assert np.allclose([row[1] for row in rows], corpus.distances("v", "l2")[[row[0] for row in rows]], atol=1e-4)

    def test_aggregates(self, session):
        for function, truth in ((pgvector.sqlalchemy.avg, np.mean), (pgvector.sqlalchemy.sum, np.sum)):
            found = session.scalar(sqlalchemy.select(function(self.Item.v)))
            found = found.to_list() if hasattr(found, "to_list") else found
            assert np.allclose(found, truth(corpus.base("v"), axis=0), atol=1e-3)


class TestSqlmodel:
    class Item(sqlmodel.SQLModel, table=True):
        __tablename__ = "sqlmodel_items"
        id: int = sqlmodel.Field(primary_key=True)
        v: object = sqlmodel.Field(sa_type=pgvector.sqlalchemy.VECTOR(corpus.DIMS))
        model_config = {"arbitrary_types_allowed": True}

    def test_round_trip(self, database):
        engine = sqlmodel.create_engine(database.url("postgresql+psycopg"), poolclass=sqlalchemy.NullPool)
        with sqlmodel.Session(engine) as session:
            session.execute(sqlalchemy.text("CREATE EXTENSION IF NOT EXISTS vector"))
            session.commit()
            sqlmodel.SQLModel.metadata.create_all(engine, tables=[self.Item.__table__])
            session.add_all([self.Item(id=row, v=corpus.base("v")[row]) for row in range(corpus.ROWS)])
            session.commit()
            nearest = self.Item.v.l2_distance(corpus.query("v"))
            corpus.check([i.id for i in session.exec(sqlmodel.select(self.Item).order_by(nearest).limit(corpus.K))], "v", "l2")
        engine.dispose()


class TestDjango:
    """A model made by its schema editor, as a migration makes it."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, database):
        django.conf.settings.configure(
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": database.name,
                    "HOST": database.host,
                    "PORT": database.port,
                    "USER": database.user,
                    "OPTIONS": {"options": OPTIONS},
                }
            },
            INSTALLED_APPS=["django.contrib.postgres"],
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()
        from django.db import connection, migrations, models

        class Item(models.Model):
            category = models.IntegerField()
            v = pgvector.django.VectorField(dimensions=corpus.DIMS)
            h = pgvector.django.HalfVectorField(dimensions=corpus.DIMS)
            s = pgvector.django.SparseVectorField(dimensions=corpus.DIMS)
            b = pgvector.django.BitField(length=corpus.DIMS)

            class Meta:
                app_label = "clients"

        state = migrations.state.ProjectState()
        with connection.schema_editor() as editor:
            pgvector.django.VectorExtension().database_forwards("clients", editor, state, state)
        with connection.schema_editor() as editor:
            editor.create_model(Item)
        yield Item
        connection.close()

    def test_insert(self, model):
        for row in range(corpus.FIRST):
            model.objects.create(**record(row))

    def test_bulk(self, model):
        model.objects.bulk_create([model(**record(row)) for row in range(corpus.FIRST, corpus.ROWS)])
        assert model.objects.count() == corpus.ROWS

    def test_values(self, model):
        item = model.objects.get(pk=13)
        assert all(same(getattr(item, column), column, 13) for column in "vhs")
        assert item.b == bits(corpus.base("b")[13])

    @EACH_SEARCH
    def test_index(self, model, column, distance):
        from django.db import connection

        name, classes = f"django_{column}_{distance}", [corpus.operator_class(column, distance)]
        index = pgvector.django.HnswIndex(name=name, fields=[column], m=16, ef_construction=64, opclasses=classes)
        with connection.schema_editor() as editor:
            editor.add_index(model, index)

    def test_ivfflat_index(self, model):
        from django.db import connection

        index = pgvector.django.IvfflatIndex(name="django_lists", fields=["v"], lists=4, opclasses=["vector_l2_ops"])
        with connection.schema_editor() as editor:
            editor.add_index(model, index)

    @EACH_SEARCH
    def test_search(self, model, column, distance):
        classes = {
            "l2": pgvector.django.L2Distance,
            "ip": pgvector.django.MaxInnerProduct,
            "cosine": pgvector.django.CosineDistance,
            "l1": pgvector.django.L1Distance,
            "hamming": pgvector.django.HammingDistance,
            "jaccard": pgvector.django.JaccardDistance,
        }
        nearest = classes[distance](column, value(column, corpus.query(column)))
        corpus.check(model.objects.order_by(nearest).values_list("id", flat=True)[: corpus.K], column, distance)

    def test_filter(self, model):
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET hnsw.iterative_scan = 'strict_order'")
        nearest = pgvector.django.CosineDistance("v", corpus.query("v"))
        items = model.objects.filter(category=8).annotate(distance=nearest).order_by("distance")[: corpus.K]
        corpus.check([item.id for item in items], "v", "cosine", only=8)

    def test_within_a_distance(self, model):
        radius = float(np.sort(corpus.distances("v", "l2"))[20:22].mean())
        near = model.objects.alias(d=pgvector.django.L2Distance("v", corpus.query("v"))).filter(d__lt=radius)
        assert near.count() == 21

    def test_aggregates(self, model):
        from django.db.models import Avg

        mean = model.objects.aggregate(mean=Avg("v"))["mean"]
        mean = mean.to_list() if hasattr(mean, "to_list") else mean
        assert np.allclose(mean, corpus.base("v").mean(axis=0), atol=1e-5)


class TestPeewee:
    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, database):
        server = peewee.PostgresqlDatabase(
            database.name, host=database.host, port=database.port, user=database.user, options=OPTIONS
        )

        class Item(peewee.Model):
            category = peewee.IntegerField()
            v = pgvector.peewee.VectorField(dimensions=corpus.DIMS)
            h = pgvector.peewee.HalfVectorField(dimensions=corpus.DIMS)
            s = pgvector.peewee.SparseVectorField(dimensions=corpus.DIMS)
            b = pgvector.peewee.FixedBitField(max_length=corpus.DIMS)

            class Meta:
                database = server
                table_name = "items"

        for column, distance in corpus.SEARCHES:
            Item.add_index(
                peewee.SQL(
                    f"CREATE INDEX peewee_{column}_{distance} ON items USING hnsw "
                    f"({column} {corpus.operator_class(column, distance)})"
                )
            )
        server.connect()
        server.execute_sql("CREATE EXTENSION IF NOT EXISTS vector")
        yield Item
        server.close()

    def test_table_and_indexes(self, model):
        model._meta.database.create_tables([model])

    def test_insert(self, model):
        for row in range(1, corpus.FIRST):
            model.create(**record(row))

    def test_bulk(self, model):
        with model._meta.database.atomic():
            # 0 is "no key yet" to peewee's create.
            model.insert_many([record(row) for row in (0, *range(corpus.FIRST, corpus.ROWS))]).execute()
        assert model.select().count() == corpus.ROWS

    def test_values(self, model):
        item = model.get_by_id(17)
        assert all(same(getattr(item, column), column, 17) for column in "vhs")
        assert item.b == bits(corpus.base("b")[17])

    @EACH_SEARCH
    def test_search(self, model, column, distance):
        nearest = getattr(getattr(model, column), METHODS[distance])(value(column, corpus.query(column)))
        corpus.check([item.id for item in model.select().order_by(nearest).limit(corpus.K)], column, distance)

    def test_filter(self, model):
        model._meta.database.execute_sql("SET hnsw.iterative_scan = 'strict_order'")
        nearest = model.h.cosine_distance(corpus.query("h"))
        items = model.select().where(model.category == 6).order_by(nearest).limit(corpus.K)
        corpus.check([item.id for item in items], "h", "cosine", only=6)
